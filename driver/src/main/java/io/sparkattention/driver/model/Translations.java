package io.sparkattention.driver.model;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.serializers.JavaSerializer;
import io.sparkattention.driver.model.Translator.Translation;
import io.sparkattention.partitioning.BlockGrid;
import java.io.Serializable;
import java.util.List;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;

/** Many translations, spread over the tasks of a cluster. */
public final class Translations {
  private Translations() {}

  /**
   * What is to be translated.
   *
   * @param source tokens
   * @param target a given translation to be scored, without the token that ends it; null: none
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  public record Sentence(int[] source, int[] target) implements Serializable {}

  /**
   * Translates, or scores given translations.
   *
   * @param maxTokens where a translation is cut off
   * @return one for each sentence, in their order
   */
  public static List<Translation> of(
      SparkSession spark,
      TranslationModel model,
      BlockGrid grid,
      List<Sentence> sentences,
      int maxTokens) {
    JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    Broadcast<TranslationModel> everywhere = context.broadcast(model);
    try {
      int tasks = Math.max(1, Math.min(sentences.size(), 4 * context.defaultParallelism()));
      return context
          .parallelize(sentences, tasks)
          .map(
              sentence -> {
                Translator translator = new Translator(everywhere.value(), grid);
                return sentence.target() == null
                    ? translator.translate(sentence.source(), maxTokens)
                    : translator.score(sentence.source(), sentence.target());
              })
          .collect();
    } finally {
      everywhere.destroy();
    }
  }

  /** Names what travels to Kryo: weights, sentences and results by Java serialization. */
  public static void register(Kryo kryo) {
    kryo.register(TranslationModel.class, new JavaSerializer());
    kryo.register(Sentence.class, new JavaSerializer());
    kryo.register(Translation.class, new JavaSerializer());
    kryo.register(Translation[].class);
  }
}

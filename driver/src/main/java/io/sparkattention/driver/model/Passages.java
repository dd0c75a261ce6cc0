package io.sparkattention.driver.model;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.serializers.JavaSerializer;
import io.sparkattention.driver.InvalidInputException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;

/** Many short texts that one encoder reads, each for itself, spread over a cluster. */
public final class Passages {
  private final List<Passage> passages = new ArrayList<>();

  /**
   * One text's tokens.
   *
   * @param ids [tokens]
   * @param separators [tokens]: the special tokens that frame the text
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Passage(int[] ids, boolean[] separators) implements Serializable {}

  /**
   * Adds a text.
   *
   * @param where its place in the input, for messages
   * @throws InvalidInputException if it has more tokens than the model has positions
   */
  void add(TokenizedText text, BertModel model, String where) {
    if (text.size() > model.config().positions()) {
      throw new InvalidInputException(
          "Cannot encode %s: found %,d tokens, expected at most the model's %d positions; split the passage"
              .formatted(where, text.size(), model.config().positions()));
    }
    model.checkIds(text.ids());
    boolean[] separators = new boolean[text.size()];
    for (int position = 0; position < separators.length; position++) {
      separators[position] = text.start(position) == text.end(position);
    }
    passages.add(new Passage(text.ids(), separators));
  }

  /** Adds each line of a text that is not blank. */
  public void addLines(String text, String where, TextTokenizer tokenizer, BertModel model) {
    int number = 0;
    for (String line : text.lines().toList()) {
      number++;
      if (!line.isBlank()) {
        add(tokenizer.tokenize(line), model, "line %d of %s".formatted(number, where));
      }
    }
  }

  /** Number of texts. */
  public int size() {
    return passages.size();
  }

  /**
   * What the heads look at, over all passages. The result does not depend on {@code partitions}.
   *
   * @param partitions tasks at most, from 1
   */
  public HeadStatistics statistics(SparkSession spark, BertModel model, int partitions) {
    if (passages.isEmpty()) {
      throw new InvalidInputException(
          "Cannot gather statistics: found no passage, expected at least one line that is not blank");
    }
    JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    int layers = model.config().layers();
    int heads = model.config().numHeads();
    Broadcast<BertModel> everywhere = context.broadcast(model);
    try {
      return context
          .parallelize(passages, Math.min(passages.size(), partitions))
          .mapPartitions(
              some -> {
                BertEncoder encoder = new BertEncoder(everywhere.value());
                HeadStatistics sum = HeadStatistics.empty(layers, heads);
                some.forEachRemaining(
                    passage ->
                        sum.add(
                            passage.ids(), passage.separators(), encoder.encode(passage.ids())));
                return List.of(sum).iterator();
              })
          .reduce(HeadStatistics::merge);
    } finally {
      everywhere.destroy();
    }
  }

  /** Names what travels to Kryo: weights, passages and sums by Java serialization. */
  public static void register(Kryo kryo) {
    kryo.register(BertModel.class, new JavaSerializer());
    kryo.register(Passage.class, new JavaSerializer());
    kryo.register(HeadStatistics.class, new JavaSerializer());
    kryo.register(HeadStatistics[].class);
  }
}

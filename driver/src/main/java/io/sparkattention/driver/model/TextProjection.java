package io.sparkattention.driver.model;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.serializers.JavaSerializer;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.StagedOutput;
import io.sparkattention.driver.io.TextFile;
import io.sparkattention.driver.model.TokenProjection.Range;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.MetadataBuilder;

/**
 * A text becomes a table of queries, keys and values: tokenized on the driver, embedded and
 * projected by the model's first layer on the executors, written as Parquet.
 *
 * <p>Columns: {@code sequence_id} (the file's name), {@code position} (long), {@code token_id},
 * {@code token}, {@code query}, {@code key}, {@code value} (array&lt;float&gt; [numHeads ·
 * headDim], with {@code numHeads} in the column's metadata). The values do not depend on the number
 * of executors.
 */
public final class TextProjection {
  /** Metadata key of the query, key and value columns. */
  public static final String NUM_HEADS = "numHeads";

  private TextProjection() {}

  /**
   * Projects one text.
   *
   * @param textFile UTF-8, on any file system that Hadoop reaches
   * @param modelDir a local {@link ModelFolder}
   * @param policy for tokens beyond the model's positions
   * @param outputDir appears whole or not at all
   * @return the number of tokens, special tokens included
   * @throws InvalidInputException for an output that exists, a text that is missing, empty or
   *     malformed, a model that cannot be used, too many tokens
   */
  public static long run(
      SparkSession spark,
      String textFile,
      String modelDir,
      Positions policy,
      String outputDir,
      boolean overwrite) {
    Configuration hadoop = spark.sparkContext().hadoopConfiguration();
    try (StagedOutput output = new StagedOutput(outputDir, overwrite, hadoop)) {
      TextFile file = new TextFile("text", textFile);
      ModelFolder folder = ModelFolder.at(modelDir);
      TokenizedText text = tokenize(folder, words(file, hadoop));
      BertModel model = BertModel.load(folder);
      TokenProjection projection = new TokenProjection(model, policy, file.name(), text);
      spark
          .sparkContext()
          .setJobDescription(
              String.format(
                  "Project %,d tokens of %s to queries, keys and values (%s)",
                  text.size(), file.name(), folder.name()));
      write(spark, projection, text.size(), model.config().numHeads(), output.path());
      output.commit();
      return text.size();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      spark.sparkContext().setJobDescription(null);
    }
  }

  /** Names what travels to Kryo: the weights by Java serialization, once per executor. */
  public static void register(Kryo kryo) {
    kryo.register(TokenProjection.class, new JavaSerializer());
    kryo.register(Range.class);
    kryo.register(Range[].class);
  }

  private static String words(TextFile file, Configuration hadoop) {
    String text = file.read(hadoop);
    if (text.isBlank()) {
      throw new InvalidInputException(
          "Cannot project '" + file.name() + "': found no text in it, expected at least one word");
    }
    return text;
  }

  private static TokenizedText tokenize(ModelFolder folder, String text) {
    try (TextTokenizer tokenizer = TextTokenizer.open(folder)) {
      return tokenizer.tokenize(text);
    }
  }

  private static void write(
      SparkSession spark, TokenProjection projection, int tokens, int numHeads, String path) {
    JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    List<Range> ranges = Arrays.asList(Range.of(tokens, context.defaultParallelism()));
    Broadcast<TokenProjection> shared = context.broadcast(projection);
    try {
      JavaRDD<ProjectedToken> rows =
          context
              .parallelize(ranges, ranges.size())
              .flatMap(range -> shared.value().project(range));
      table(spark, rows, numHeads).write().parquet(path);
    } finally {
      shared.destroy();
    }
  }

  private static Dataset<Row> table(
      SparkSession spark, JavaRDD<ProjectedToken> rows, int numHeads) {
    Metadata heads = new MetadataBuilder().putLong(NUM_HEADS, numHeads).build();
    return spark
        .createDataset(rows.rdd(), Encoders.bean(ProjectedToken.class))
        .select(
            functions.col("sequenceId").as("sequence_id"),
            functions.col("position"),
            functions.col("tokenId").as("token_id"),
            functions.col("token"),
            functions.col("query").as("query", heads),
            functions.col("key").as("key", heads),
            functions.col("value").as("value", heads));
  }
}

package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.exchange.AttentionMeter;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.driver.exchange.ReduceExchange;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsInput;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.StorageLevel;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Queries whose states do not fit a task go to the keys in turn. */
class ReduceBatchesTest {
  private static final HeadLayout LAYOUT = new HeadLayout(4, 2, 20, 12);
  private static final int TOKENS = 173;
  private static final int BLOCK_TOKENS = 16;
  private static final RandomSequence SEQUENCE = RandomSequence.of(181, LAYOUT, TOKENS, TOKENS);

  @TempDir private Path folder;

  /**
   * Of 11 blocks whose states have 16,640 bytes each: 11 batches, 4, and 1. Sinks: 0 shows no key.
   */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "full; 3; 1",
        "causal; 3; 400000",
        "sliding-window:20; 1; 400000",
        "sliding-window:20; 7; 1",
        "causal & documents:50,60; 3; 400000",
        "sinks:0; 3; 400000",
        "causal; 3; 10000000"
      })
  void haveTheSameBits(String mask, int shards, long memory) {
    SparkSession spark = LocalSession.get();
    AttentionFiles files = new AttentionFiles(spark);
    Path in = folder.resolve("in.safetensors");
    files.writeTensors(in, DataType.F32, 4, List.of(SEQUENCE));
    Map<Key, String> options =
        Map.of(
            Key.MASK,
            mask,
            Key.EXCHANGE,
            "reduce",
            Key.SHARDS,
            Integer.toString(shards),
            Key.BLOCK_TOKENS,
            Integer.toString(BLOCK_TOKENS));
    AttentionConfig config = files.config(options);
    SafetensorsInput input = SafetensorsInput.open(spark, in.toString(), config);
    AttentionPlan plan =
        new AttentionPlan(
            LAYOUT,
            input.keyValueType(),
            input.sequences(),
            Optional.empty(),
            config,
            new Cluster(1, 2, memory));
    JavaRDD<PlacedKeyValues> keyValues =
        input.keyValues(plan).persist(StorageLevel.MEMORY_AND_DISK());
    JavaRDD<PlacedQueries> queries = input.queries(plan).persist(StorageLevel.MEMORY_AND_DISK());
    AttentionMeter meter = new AttentionMeter();
    spark.sparkContext().register(meter, "attention");
    CollectedOutput output = new CollectedOutput();
    try (ReduceExchange exchange = new ReduceExchange()) {
      output.write(plan, exchange.attend(plan, queries, keyValues, meter), Optional.empty());
    } finally {
      keyValues.unpersist();
      queries.unpersist();
    }
    output
        .sequences()
        .get(0)
        .assertSameBits(SEQUENCE.alone(AttentionMask.parse(mask), BLOCK_TOKENS), SEQUENCE);
  }
}

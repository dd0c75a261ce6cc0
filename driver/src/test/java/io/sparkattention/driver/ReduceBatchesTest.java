package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.exchange.AttentionMeter;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.driver.exchange.ReduceExchange;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsInput;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.HeadSlice;
import io.sparkattention.partitioning.AttentionMask;
import java.nio.file.Path;
import java.util.EnumMap;
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

  /** Of 11 blocks: 11 batches, 4, and 1. Sinks: 0 shows no key. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "full; 3; 1",
        "causal; 3; 3",
        "sliding-window:20; 1; 3",
        "sliding-window:20; 7; 1",
        "causal & documents:50,60; 3; 3",
        "sinks:0; 3; 3",
        "causal; 3; 11"
      })
  void haveTheSameBits(String mask, int shards, int blocksOfABatch) {
    SparkSession spark = LocalSession.get();
    AttentionFiles files = new AttentionFiles(spark);
    Path in = folder.resolve("in.safetensors");
    files.writeTensors(in, DataType.F32, 4, List.of(SEQUENCE));
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, mask);
    options.put(Key.EXCHANGE, "reduce");
    options.put(Key.SHARDS, Integer.toString(shards));
    options.put(Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS));
    SafetensorsInput input = SafetensorsInput.open(spark, in.toString(), files.config(options));
    DistributedAttention attention = new DistributedAttention(spark);
    AttentionPlan ample = attention.plan(input, files.config(options));
    TaskMemory memory = new TaskMemory(ample.workload(), ample.keyRuns(), HeadSlice.whole(LAYOUT));
    long block = memory.queryBytes(ample.queryBlocks().get(0));
    options.put(Key.MAX_MEMORY, Long.toString(memory.standingBytes() + blocksOfABatch * block));
    AttentionPlan plan = attention.plan(input, files.config(options));
    assertThat(plan.placement().turns()).isEqualTo((10 + blocksOfABatch) / blocksOfABatch);
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

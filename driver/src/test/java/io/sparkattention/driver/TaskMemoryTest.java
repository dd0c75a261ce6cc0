package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsInput;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.HeadSlice;
import io.sparkattention.partitioning.ClusterFacts;
import io.sparkattention.partitioning.ClusterFacts.Fact;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a task holds is planned, stays below the limit, and touches no bit. */
class TaskMemoryTest {
  private static final HeadLayout LAYOUT = new HeadLayout(8, 8, 64, 64);
  private static final int BLOCK_TOKENS = 256;
  private static final int TOKENS = 2_000;

  /** Of a block: queries, state and rows. */
  private static final long BLOCK_BYTES = 8L * 256 * (64 * 4 + 65 * 24) + 8 * 2 * 64 * 4;

  private static final long SCRATCH = 4 << 20;

  @TempDir private static Path folder;

  private static Map<Key, String> options(String exchange, int shards, String maxMemory) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS));
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.SHARDS, Integer.toString(shards));
    options.put(Key.MAX_MEMORY, maxMemory);
    return options;
  }

  private static AttentionPlan plan(Map<Key, String> options) {
    AttentionConfig config = AttentionConfig.resolve(options, new SparkConf(false));
    List<SequenceShape> sequences = List.of(new SequenceShape("s", 0, TOKENS, TOKENS));
    return new AttentionPlan(
        new Workload(LAYOUT, ElementType.F32, sequences, Optional.empty(), config),
        config,
        ClusterFacts.defaults().with(Fact.CORES, 2));
  }

  /** All keys and values are one run; their panels are padded to 64 keys. */
  @Test
  void isThatOfTheFormula() {
    AttentionPlan plan = plan(options("ring", 1, "1g"));
    long runs = 3L * 8 * (64 * 2_048 + 64 * 2_000) * 4;
    long masks = 2L * 256 * (256 / 8) + 4L * 8 * (256 + 256);
    // 7 blocks, and one of 208 tokens, whose 35 strips of 6 hold 210.
    long blocks = 7 * BLOCK_BYTES + 8L * (210 * 64 * 4 + 208 * 65 * 24);
    // 43 strips of 6 hold the 256 rows.
    assertThat(plan.placement().taskBytes()).isEqualTo(runs + masks + SCRATCH + blocks);
  }

  @ParameterizedTest
  @CsvSource({
    "ring, 2, 1g, 1, 1",
    "ring, 2, 32m, 1, 1",
    "ring, 2, 24m, 2, 1",
    "ring, 1, 38m, 4, 1",
    "heads, 2, 26m, 1, 2",
    "heads, 2, 16m, 1, 4",
    "heads, 2, 10m, 1, 8",
    "heads, 2, 8m, 2, 8"
  })
  void fewerQueriesOrHeadsAtATimeGiveTheSameBits(
      String exchange, int shards, String maxMemory, int turns, int slices) {
    AttentionPlan plan = plan(options(exchange, shards, maxMemory));
    assertThat(plan.placement().turns()).isEqualTo(turns);
    assertThat(plan.placement().headSlices()).hasSize(slices);
    assertThat(plan.placement().tasks())
        .isEqualTo(turns * (exchange.equals("heads") ? slices : shards));

    SparkSession spark = LocalSession.get();
    AttentionFiles files = new AttentionFiles(spark);
    HeadLayout layout = LAYOUT;
    RandomSequence sequence = RandomSequence.of(217, layout, TOKENS, TOKENS);
    Path in = folder.resolve("in" + AttentionFiles.SAFETENSORS);
    if (!in.toFile().exists()) {
      files.writeTensors(in, DataType.F32, 4, List.of(sequence));
    }
    Map<Key, String> options = options(exchange, shards, maxMemory);
    options.put(Key.MASK, "sliding-window:500,100 | sinks:3");
    CollectedOutput found = attend(spark, in, options);
    options.put(Key.EXCHANGE, "ring");
    options.put(Key.MAX_MEMORY, "1g");
    options.put(Key.SHARDS, "3");
    found
        .sequences()
        .get(0)
        .assertSameBits(attend(spark, in, options).sequences().get(0), sequence);
  }

  private static CollectedOutput attend(SparkSession spark, Path in, Map<Key, String> options) {
    AttentionConfig config = AttentionConfig.resolve(options, spark.sparkContext().conf());
    CollectedOutput out = new CollectedOutput();
    new DistributedAttention(spark, 0)
        .run(SafetensorsInput.open(spark, in.toString(), config), config, out);
    return out;
  }

  @Test
  void tellsInThePlan() {
    assertThat(plan(options("ring", 1, "38m")).toString())
        .contains(
            "memory       36.5 MB at most in each of 4 tasks of 39.8 MB (asked for), 4 passes over"
                + " the keys; stored in memory\n");
    assertThat(plan(options("heads", 12, "1g")).toString())
        .contains(
            "in each of 8 tasks of 1073.7 MB (asked for), 8 slices of heads, one pass over the keys;"
                + " 4 of 12 ranks have no heads, there are no more key/value heads; stored"
                + " in memory\n");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "ring | 18m | 18.9 MB (--max-memory): it needs 20.5 MB with 256 tokens per block and 8"
            + " heads; raise --max-memory, choose --exchange heads, or lower --block-tokens",
        "heads | 5m | 5.2 MB (--max-memory): it needs 6.3 MB with 256 tokens per block and 1"
            + " heads; raise --max-memory or lower --block-tokens"
      })
  void refusesWhatEvenOneBlockExceeds(String exchange, String maxMemory, String message) {
    assertThatThrownBy(() -> plan(options(exchange, 2, maxMemory)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage("Cannot hold a task of exchange %s in %s", exchange, message);
  }

  /** 60 % of what 300 MiB leave is storage. */
  @Test
  void theDefaultIsWhatStorageLeaves() {
    long heap = 1L << 30;
    double usable = heap - (300 << 20);
    ExecutorMemory one = new ExecutorMemory(heap, 0.6, 1, 2);
    assertThat(one.taskBytes(1e12, 9)).isCloseTo((long) (0.9 * 0.4 * usable / 2), within(1L));
    assertThat(one.taskBytes(1e12, 1)).isCloseTo((long) (0.9 * 0.4 * usable), within(1L));
    assertThat(one.taskBytes(1e8, 9)).isCloseTo((long) (0.9 * (usable - 1e8) / 2), within(1L));
    assertThat(one.stores(0.5 * usable)).isTrue();
    assertThat(one.stores(0.7 * usable)).isFalse();
    ExecutorMemory ten = new ExecutorMemory(heap, 0.6, 10, 40);
    double cache = 0.6 * usable / 8;
    assertThat(ten.cacheBytes()).isEqualTo((long) cache);
    assertThat(one.cacheBytes()).isZero();
    assertThat(ten.taskBytes(1e9, 99))
        .isCloseTo((long) (0.9 * (usable - 2e8 - cache) / 4), within(1L));
    assertThat(ten.stores(5 * usable)).isTrue();
  }

  /** A slice of one key/value head of eight needs an eighth of all but the scratch and masks. */
  @Test
  void aSliceOfHeadsNeedsItsShare() {
    AttentionPlan plan = plan(options("ring", 1, "1g"));
    TaskMemory all = new TaskMemory(plan.workload(), plan.keyRuns(), HeadSlice.whole(LAYOUT));
    TaskMemory one = new TaskMemory(plan.workload(), plan.keyRuns(), new HeadSlice(LAYOUT, 3, 1));
    assertThat(8 * one.queryBytes(plan.queryBlocks().get(0)))
        .isEqualTo(all.queryBytes(plan.queryBlocks().get(0)));
    long masks = 2L * 256 * (256 / 8);
    assertThat(8 * (one.standingBytes() - SCRATCH - masks))
        .isEqualTo(all.standingBytes() - SCRATCH - masks);
  }
}

package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.exchange.QueryBatches;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.HeadSlice;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.ClusterFacts;
import io.sparkattention.partitioning.ClusterFacts.Fact;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.SparkConf;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class MovementTest {
  private static final HeadLayout LAYOUT = new HeadLayout(8, 8, 64, 64);
  private static final int BLOCK_TOKENS = 2048;
  private static final long BLOCK_BYTES =
      KeyValueBlock.bytes(LAYOUT, BLOCK_TOKENS, ElementType.F32);
  private static final long AMPLE = 64L << 30;

  private static Workload workload(String mask, int blocks) {
    AttentionConfig config = AttentionConfig.resolve(Map.of(Key.MASK, mask), new SparkConf(false));
    long tokens = (long) blocks * BLOCK_TOKENS;
    return new Workload(
        LAYOUT,
        ElementType.F32,
        List.of(new SequenceShape("s", 0, tokens, tokens)),
        Optional.empty(),
        config);
  }

  private static Placement placement(Workload workload, ExchangeKind exchange, int shards) {
    return new Placement(workload, exchange, BlockAssignment.CONTIGUOUS, shards, Long.MAX_VALUE);
  }

  private static Movement movement(
      String mask, ExchangeKind exchange, int blocks, int shards, int executors, long cacheBytes) {
    Workload workload = workload(mask, blocks);
    return new Movement(workload, placement(workload, exchange, shards), executors, cacheBytes);
  }

  @ParameterizedTest
  @EnumSource(names = {"RING", "REDUCE", "BROADCAST"})
  void nothingMovesInOneExecutor(ExchangeKind exchange) {
    assertThat(movement("causal", exchange, 9, 4, 1, AMPLE).bytes()).isZero();
  }

  /** Of 3 blocks to the left of a shard of 16 or of 64. */
  @ParameterizedTest
  @EnumSource(names = {"RING", "BROADCAST"})
  void aWindowMovesAsMuchWhateverTheLength(ExchangeKind exchange) {
    long ownBytes = exchange == ExchangeKind.RING ? 0 : 64 * BLOCK_BYTES;
    for (int blocks : new int[] {16, 64}) {
      Movement movement = movement("sliding-window:6000", exchange, 64 * blocks, 64, 64, AMPLE);
      assertThat(movement.bytes())
          .as("%d blocks in a shard", blocks)
          .isEqualTo(63 * 3 * BLOCK_BYTES + blocks * ownBytes);
    }
  }

  @Test
  void ranksOfAnExecutorShareWhatItsCacheHolds() {
    // 6 of 8 blocks lie elsewhere for each of the 4 executors with 2 ranks each.
    long shared = 4 * 6 * BLOCK_BYTES;
    ExchangeKind ring = ExchangeKind.RING;
    assertThat(movement("full", ring, 8, 8, 4, 6 * BLOCK_BYTES).bytes()).isEqualTo(shared);
    assertThat(movement("full", ring, 8, 8, 4, 6 * BLOCK_BYTES - 1).bytes()).isEqualTo(2 * shared);
  }

  /**
   * Of 2 GiB per executor, 300 MiB reserved, 0.6 of the rest storage, an eighth of it the cache.
   */
  @Test
  void thePlanTellsOfIt() {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.EXCHANGE, "ring");
    options.put(Key.SHARDS, "8");
    options.put(Key.ASSIGNMENT, "contiguous");
    ClusterFacts facts =
        ClusterFacts.defaults().with(Fact.EXECUTORS, 4).with(Fact.CORES, 2).with(Fact.MEMORY, 2);
    AttentionPlan plan =
        new AttentionPlan(
            workload("full", 8), AttentionConfig.resolve(options, new SparkConf(false)), facts);
    assertThat(plan.toString())
        .contains(
            "moves        201 MB between 4 executors, each of which keeps up to 137 MB of it");
  }

  @Test
  void whatIsBroadcastPassesTheDriver() {
    Movement all = movement("full", ExchangeKind.BROADCAST, 8, 4, 2, AMPLE);
    assertThat(all.throughDriver()).isEqualTo(8 * BLOCK_BYTES);
    assertThat(all.bytes()).isEqualTo(2 * 8 * BLOCK_BYTES);
    assertThat(movement("full", ExchangeKind.RING, 8, 4, 2, AMPLE).throughDriver()).isZero();
    // Only the first block is ever seen.
    Movement first = movement("sinks:7", ExchangeKind.BROADCAST, 8, 4, 2, AMPLE);
    assertThat(first.throughDriver()).isEqualTo(BLOCK_BYTES);
  }

  @Test
  void statesOfABatchFitTheTask() {
    int shards = 4;
    Workload workload = workload("causal", 11);
    List<List<Block>> runs = placement(workload, ExchangeKind.REDUCE, shards).keyRuns();
    TaskMemory memory = new TaskMemory(workload, runs, HeadSlice.whole(LAYOUT));
    long block = memory.queryBytes(workload.queryBlocks().get(0));
    // Two blocks and a half.
    Placement tight =
        new Placement(
            workload,
            ExchangeKind.REDUCE,
            BlockAssignment.CONTIGUOUS,
            shards,
            memory.standingBytes() + 5 * block / 2);
    QueryBatches batches = QueryBatches.of(workload, tight);
    assertThat(batches.starts()).containsExactly(0, 2, 4, 6, 8, 10, 11);
    assertThat(batches.partCount()).isEqualTo(6);
    assertThat(batches.parts()).hasSize(11).startsWith(0, 0).endsWith(5).isSorted();
    assertThat(tight.taskBytes()).isEqualTo(memory.standingBytes() + 2 * block);
  }
}

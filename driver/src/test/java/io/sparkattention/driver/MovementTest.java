package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.exchange.QueryBatches;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.SparkConf;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MovementTest {
  private static final HeadLayout LAYOUT = new HeadLayout(8, 8, 64, 64);
  private static final int BLOCK_TOKENS = 2048;
  private static final long BLOCK_BYTES =
      KeyValueBlock.bytes(LAYOUT, BLOCK_TOKENS, ElementType.F32);
  private static final long AMPLE = 64L << 30;

  private static AttentionPlan plan(
      String mask, String exchange, int blocks, int shards, Cluster cluster) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, mask);
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.SHARDS, Integer.toString(shards));
    AttentionConfig config = AttentionConfig.resolve(options, new SparkConf(false));
    long tokens = (long) blocks * BLOCK_TOKENS;
    return new AttentionPlan(
        LAYOUT,
        ElementType.F32,
        List.of(new SequenceShape("s", 0, tokens, tokens)),
        Optional.empty(),
        config,
        cluster);
  }

  @ParameterizedTest
  @ValueSource(strings = {"ring", "reduce", "broadcast"})
  void nothingMovesInOneExecutor(String exchange) {
    AttentionPlan plan = plan("causal", exchange, 9, 4, new Cluster(1, 4, AMPLE));
    assertThat(plan.movement().bytes()).isZero();
  }

  /** Of 3 blocks to the left of a shard of 16 or of 64. */
  @Test
  void aWindowMovesAsMuchWhateverTheLength() {
    Cluster cluster = new Cluster(64, 64, AMPLE);
    for (String exchange : List.of("ring", "broadcast")) {
      long ownBytes = exchange.equals("ring") ? 0 : 64 * BLOCK_BYTES;
      for (int blocks : new int[] {16, 64}) {
        AttentionPlan plan = plan("sliding-window:6000", exchange, 64 * blocks, 64, cluster);
        assertThat(plan.movement().bytes())
            .as("%s, %d blocks in a shard", exchange, blocks)
            .isEqualTo(63 * 3 * BLOCK_BYTES + blocks * ownBytes);
      }
    }
  }

  @Test
  void ranksOfAnExecutorShareWhatItsCacheHolds() {
    // 6 of 8 blocks lie elsewhere for each of the 4 executors with 2 ranks each.
    long shared = 4 * 6 * BLOCK_BYTES;
    Cluster ample = new Cluster(4, 8, AMPLE);
    assertThat(plan("full", "ring", 8, 8, ample).movement().bytes()).isEqualTo(shared);
    Cluster tight = new Cluster(4, 8, 8 * 6 * BLOCK_BYTES - 8);
    assertThat(plan("full", "ring", 8, 8, tight).movement().bytes()).isEqualTo(2 * shared);
  }

  @Test
  void thePlanTellsOfIt() {
    AttentionPlan plan = plan("full", "ring", 8, 8, new Cluster(4, 8, 800_000_000));
    assertThat(plan.toString())
        .contains("moves        201.3 MB to 4 executors, each of which keeps up to 100.0 MB of it");
  }

  @Test
  void whatIsBroadcastPassesTheDriver() {
    Cluster cluster = new Cluster(2, 4, AMPLE);
    Movement all = plan("full", "broadcast", 8, 4, cluster).movement();
    assertThat(all.throughDriver()).isEqualTo(8 * BLOCK_BYTES);
    assertThat(all.bytes()).isEqualTo(2 * 8 * BLOCK_BYTES);
    assertThat(plan("full", "ring", 8, 4, cluster).movement().throughDriver()).isZero();
    // Only the first block is ever seen.
    Movement first = plan("sinks:7", "broadcast", 8, 4, cluster).movement();
    assertThat(first.throughDriver()).isEqualTo(BLOCK_BYTES);
  }

  @Test
  void statesOfABatchFitTheTask() {
    int shards = 4;
    long blockState = QueryBatches.stateElements(LAYOUT, BLOCK_TOKENS) * QueryBatches.ELEMENT_BYTES;
    // A quarter of the memory of each of 2 tasks: two blocks and a half.
    Cluster cluster = new Cluster(1, 2, 2 * 4 * 5 * blockState / 2);
    AttentionPlan plan = plan("causal", "reduce", 11, shards, cluster);
    QueryBatches batches = QueryBatches.of(plan.workload(), shards, cluster);
    assertThat(batches.starts()).containsExactly(0, 2, 4, 6, 8, 10, 11);
    assertThat(batches.partCount()).isEqualTo(6);
    assertThat(batches.parts()).hasSize(11).startsWith(0, 0).endsWith(5).isSorted();
    // A single block is a batch, however large.
    QueryBatches single = QueryBatches.of(plan.workload(), shards, new Cluster(1, 2, 1));
    assertThat(single.count()).isEqualTo(11);
  }
}

package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.partitioning.ClusterFacts.Fact;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/** The closed forms, on a cluster of round numbers. */
class CostModelTest {
  private static final HeadSizes HEADS = new HeadSizes(8, 2, 64, 64, 4);
  private static final double KEY_VALUE_BYTES = 2 * 128 * 4;
  private static final int BLOCK = 1000;
  private static final long TOKENS = 96_000;
  private static final Offset<Double> EXACT = within(1e-9);

  /** 100 GFLOP/s and nothing else costs anything. */
  private static ClusterFacts pure(int executors) {
    ClusterFacts facts =
        ClusterFacts.defaults()
            .with(Fact.EXECUTORS, executors)
            .with(Fact.MEMORY, 1000)
            .with(Fact.MULTIPLY_ADDS, 100)
            .with(Fact.STREAM, 1e6)
            .with(Fact.NETWORK, 1);
    for (Fact free :
        List.of(
            Fact.SCORE,
            Fact.MASKED_SCORE,
            Fact.LEAF,
            Fact.ROW,
            Fact.LATENCY,
            Fact.STAGE,
            Fact.TASK,
            Fact.RENDEZVOUS)) {
      facts = facts.with(free, 0);
    }
    return facts;
  }

  private record Placed(RankWork[] work, RankVisits[] visits) {}

  private static Placed place(AttentionMask mask, BlockAssignment assignment, int ranks) {
    List<Block> blocks = new BlockGrid(BLOCK).blocks(0, 0, TOKENS);
    long[] offsets = new long[1];
    long[] work = BlockWork.queryWork(mask, offsets, blocks, blocks);
    WorkProfile profile = new WorkProfile(mask, offsets, blocks, blocks, work);
    int[] owners = assignment.ranks(work, ranks);
    int[] shards = BlockAssignment.CONTIGUOUS.ranks(work, ranks);
    List<List<Block>> runs = RingSchedule.runs(blocks, shards, BLOCK);
    return new Placed(profile.queryRankWork(owners, ranks), profile.visits(owners, ranks, runs));
  }

  private static CostModel model(ClusterFacts facts) {
    return new CostModel(facts, HEADS, TOKENS, TOKENS, BLOCK);
  }

  /** Rows of 1000 are 167 strips of 6: 1002. */
  private static double fullSeconds(int ranks) {
    return 8 * 1.002 * TOKENS * TOKENS * 2 * 128 / 100e9 / ranks;
  }

  @Test
  void computeIsFlopsOverRate() {
    Placed placed = place(AttentionMask.full(), BlockAssignment.CONTIGUOUS, 4);
    Cost cost = model(pure(1).with(Fact.CORES, 4)).ring(placed.work, placed.visits);
    assertThat(cost.computeSeconds()).isCloseTo(fullSeconds(4), within(1e-6));
    assertThat(cost.exposedSeconds()).isZero();
    assertThat(cost.bytesMoved()).isZero();
    assertThat(cost.skew()).isCloseTo(1, EXACT);
  }

  @Test
  void eachSlowThingAddsItsOwnTerm() {
    RankWork work = new RankWork(100, 200, 30, 40, 50, 0);
    ClusterFacts facts = pure(1);
    double before = model(facts).foldSeconds(work);
    assertThat(before).isCloseTo(8 * 200 * 256 / 100e9, within(1e-15));
    assertThat(model(facts.with(Fact.SCORE, 1)).foldSeconds(work) - before)
        .isCloseTo(8 * 200e-9, within(1e-15));
    assertThat(model(facts.with(Fact.MASKED_SCORE, 1)).foldSeconds(work) - before)
        .isCloseTo(8 * 30e-9, within(1e-15));
    assertThat(model(facts.with(Fact.LEAF, 1)).foldSeconds(work) - before)
        .isCloseTo(8 * 64 * 40e-9, within(1e-15));
    assertThat(model(facts.with(Fact.ROW, 1)).foldSeconds(work) - before)
        .isCloseTo(8 * 64 * 50e-9, within(1e-15));
    assertThat(model(facts.with(Fact.TASK_CPUS, 2)).foldSeconds(work))
        .isCloseTo(before / 2, within(1e-15));
  }

  @Test
  void aFewQueriesGoAsFastAsKeysAreRead() {
    RankWork work = new RankWork(1000, 6000, 0, 1, 1, 1000);
    assertThat(model(pure(1).with(Fact.STREAM, 0.001)).foldSeconds(work))
        .isCloseTo(1000 * KEY_VALUE_BYTES / 1e6, EXACT);
  }

  /** Balanced causal work is half of the full mask's, and contiguous ranks wait for the last. */
  @Test
  void anUnevenAssignmentTakesAsLongAsItsLargestRank() {
    CostModel model = model(pure(1).with(Fact.CORES, 4));
    Placed even = place(AttentionMask.causal(), BlockAssignment.ZIGZAG, 4);
    Placed uneven = place(AttentionMask.causal(), BlockAssignment.CONTIGUOUS, 4);
    Cost balanced = model.ring(even.work, even.visits);
    Cost skewed = model.ring(uneven.work, uneven.visits);
    assertThat(balanced.skew()).isCloseTo(1, within(0.001));
    assertThat(skewed.skew()).isCloseTo(1.75, within(0.01));
    assertThat(skewed.computeSeconds() / balanced.computeSeconds()).isCloseTo(1.75, within(0.03));
  }

  /** 5 equal ranks on 4 slots are two waves. */
  @Test
  void moreShardsThanSlotsAreWaves() {
    Placed placed = place(AttentionMask.full(), BlockAssignment.CONTIGUOUS, 6);
    Cost cost =
        model(pure(1).with(Fact.CORES, 4).with(Fact.TASK, 100)).ring(placed.work, placed.visits);
    assertThat(cost.computeSeconds()).isCloseTo(2 * fullSeconds(6), within(1e-6));
    assertThat(cost.overheadSeconds()).isCloseTo(0.2, EXACT);
  }

  /** Liu et al. 2023: hidden when the fold of a shard takes longer than its fetch. */
  @Test
  void theRingIsHiddenWhenAFoldTakesLongerThanAFetch() {
    int ranks = 4;
    Placed placed = place(AttentionMask.full(), BlockAssignment.CONTIGUOUS, ranks);
    double fold = fullSeconds(ranks);
    double bytes = TOKENS * KEY_VALUE_BYTES * 3 / 4;
    double balance = bytes / fold / 1e9;
    double firstOfFetches = 1.0 / 96;
    Cost hidden =
        model(pure(ranks).with(Fact.NETWORK, 1.01 * balance)).ring(placed.work, placed.visits);
    assertThat(hidden.exposedSeconds())
        .isCloseTo(fold / 1.01 * firstOfFetches, within(fold * 0.001));
    Cost exposed =
        model(pure(ranks).with(Fact.NETWORK, balance / 3)).ring(placed.work, placed.visits);
    assertThat(exposed.exposedSeconds()).isCloseTo(2 * fold, within(fold * 0.04));
    assertThat(exposed.bytesMoved()).isCloseTo(bytes * ranks, EXACT);
  }

  @Test
  void aWindowMovesItsWidthAndNotTheLength() {
    Placed placed = place(AttentionMask.slidingWindow(1000, 0), BlockAssignment.CONTIGUOUS, 16);
    Cost cost = model(pure(16)).ring(placed.work, placed.visits);
    // 6 own blocks and the one before them; the first rank has none before.
    assertThat(cost.bytesMoved())
        .isCloseTo((TOKENS + 15 * BLOCK) * KEY_VALUE_BYTES * 15 / 16, EXACT);
  }

  @Test
  void blocksThatDoNotFitStorageAreReadFromDisk() {
    ClusterFacts facts = pure(1).with(Fact.MEMORY, (300e6 + 100e6) / (1L << 30));
    double stored = TOKENS * (KEY_VALUE_BYTES + 8 * 64 * 4 + 8 * 65 * 4);
    CostModel model = model(facts.with(Fact.STORAGE, 0.1));
    assertThat(model.spilledShare()).isCloseTo(1 - 60e6 / stored, EXACT);
    assertThat(model.fetchSeconds(1e9, 1, 1)).isCloseTo(model.spilledShare() * 10, EXACT);
    assertThat(model.taskMemoryLimit()).isCloseTo(0.9 * 40e6, within(1.0));
    CostModel roomy = model(pure(1).with(Fact.CORES, 4));
    assertThat(roomy.spilledShare()).isZero();
    assertThat(roomy.taskMemoryLimit())
        .isCloseTo(0.9 * (1000.0 * (1L << 30) - 300e6 - stored) / 4, within(1.0));
  }

  /** One query: its state is small whatever the keys; the ring would move all keys. */
  @Test
  void reduceMovesQueriesAndStates() {
    CostModel model = new CostModel(pure(4), HEADS, 1, TOKENS, BLOCK);
    RankWork[] work = new RankWork[4];
    Arrays.fill(work, new RankWork(TOKENS / 4.0, TOKENS * 1.5, 0, 24, 1, TOKENS / 4.0));
    Cost cost = model.reduce(work);
    double keyBytes = TOKENS * KEY_VALUE_BYTES;
    double states = 4 * 8 * 65 * 20;
    assertThat(cost.bytesMoved()).isCloseTo(4 * 8 * 64 * 4 + (states + keyBytes) * 3 / 4, EXACT);
  }

  @Test
  void headsMoveEverythingOnceAndGroupsWaitForNobody() {
    CostModel model = model(pure(2));
    Placed placed = place(AttentionMask.full(), BlockAssignment.CONTIGUOUS, 1);
    Cost cost = model.heads(placed.work[0], 2);
    assertThat(cost.computeSeconds()).isCloseTo(fullSeconds(2), within(1e-6));
    double token = KEY_VALUE_BYTES + 8 * 64 * 4 + 8 * 65 * 4;
    assertThat(cost.bytesMoved()).isCloseTo(TOKENS * token / 2, within(1.0));
  }

  @Test
  void broadcastIsSentBeforeTheAttention() {
    Placed placed = place(AttentionMask.full(), BlockAssignment.CONTIGUOUS, 4);
    Cost cost = model(pure(4)).broadcast(placed.work);
    assertThat(cost.attentionSeconds()).isCloseTo(fullSeconds(4), within(1e-6));
    assertThat(cost.prepareSeconds()).isPositive();
    assertThat(cost.bytesMoved()).isCloseTo(TOKENS * KEY_VALUE_BYTES * 4, EXACT);
  }

  @Test
  void aBarrierAddsItsRendezvous() {
    Placed placed = place(AttentionMask.full(), BlockAssignment.CONTIGUOUS, 4);
    ClusterFacts facts = pure(4).with(Fact.SHUFFLE, 1e6).with(Fact.NETWORK, 1e5);
    CostModel model = model(facts.with(Fact.RENDEZVOUS, 700));
    double seconds = model.ring(placed.work, placed.visits).seconds();
    assertThat(model.barrier(placed.work, placed.visits).seconds() - seconds)
        .isCloseTo(0.7, within(1e-3));
  }
}

package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Against the ring's own schedule, which visits every pair of blocks. */
class WorkProfileTest {
  private static final int BLOCK = 10;
  private static final int RANKS = 3;
  private static final long[] OFFSETS = {0, 3};

  private final List<Block> queries = new ArrayList<>();
  private final List<Block> keys = new ArrayList<>();

  WorkProfileTest() {
    BlockGrid grid = new BlockGrid(BLOCK);
    queries.addAll(grid.blocks(0, 5, 72));
    queries.addAll(grid.blocks(1, 0, 31));
    keys.addAll(grid.blocks(0, 0, 96));
    keys.addAll(grid.blocks(1, 0, 47));
  }

  private WorkProfile profile(AttentionMask mask) {
    return new WorkProfile(
        mask, OFFSETS, queries, keys, BlockWork.queryWork(mask, OFFSETS, queries, keys));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "full",
        "causal",
        "sliding-window:7,3",
        "dilated-window:40,7",
        "documents:20,30,22,50",
        "causal & documents:20,30",
        "bigbird:6,3,2,5,8,11",
        "causal & (sinks:4 | sliding-window:5)",
        "sinks:0"
      })
  void workAndVisitsAreThoseOfTheRing(String text) {
    AttentionMask mask = AttentionMask.parse(text);
    long[] work = BlockWork.queryWork(mask, OFFSETS, queries, keys);
    WorkProfile profile = profile(mask);
    for (BlockAssignment assignment : BlockAssignment.values()) {
      int[] ranks = assignment.ranks(work, RANKS);
      int[] shards = BlockAssignment.CONTIGUOUS.ranks(new long[keys.size()], RANKS);
      List<List<Block>> runs = RingSchedule.runs(keys, shards, 2 * BLOCK);
      RingSchedule ring =
          new RingSchedule(
              mask, OFFSETS, queries, ranks, runs, RingSchedule.runShards(runs, shards), RANKS);
      assertThat(profile.blockPairs(Coverage.FULL)).isEqualTo(ring.blockPairs(Coverage.FULL));
      assertThat(profile.blockPairs(Coverage.PARTIAL)).isEqualTo(ring.blockPairs(Coverage.PARTIAL));
      RankWork[] rankWork = profile.queryRankWork(ranks, RANKS);
      RankVisits[] visits = profile.visits(ranks, RANKS, runs);
      for (int rank = 0; rank < RANKS; rank++) {
        assertThat(rankWork[rank].visiblePairs()).isEqualTo(ring.visiblePairs(rank));
        assertThat(visits[rank].runs()).isEqualTo(ring.runs(rank).length);
        assertThat(visits[rank].tokens())
            .isEqualTo(
                Arrays.stream(ring.runs(rank))
                    .mapToObj(runs::get)
                    .flatMap(List::stream)
                    .mapToInt(Block::tokens)
                    .sum());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"full", "causal", "sliding-window:7,3", "dilated-window:40,7"})
  void workOfTheOwnersOfKeysIsThatOfAllPairs(String text) {
    AttentionMask mask = AttentionMask.parse(text);
    long[] keyWork = BlockWork.keyWork(mask, OFFSETS, queries, keys);
    int[] shards = BlockAssignment.BALANCED.ranks(keyWork, RANKS);
    RankWork[] work = profile(mask).keyRankWork(shards, keyWork, RANKS);
    for (int shard = 0; shard < RANKS; shard++) {
      long pairs = 0;
      long leaves = 0;
      Set<Block> states = new HashSet<>();
      for (int k = 0; k < shards.length; k++) {
        for (Block query : queries) {
          long visible =
              shards[k] == shard
                  ? mask.visiblePairs(query, keys.get(k), OFFSETS[query.sequence()])
                  : 0;
          pairs += visible;
          leaves += visible > 0 ? query.tokens() : 0;
          if (visible > 0) {
            states.add(query);
          }
        }
      }
      assertThat(work[shard].visiblePairs()).isEqualTo(pairs);
      assertThat(work[shard].leaves()).isEqualTo(leaves);
      assertThat(work[shard].rows()).isEqualTo(states.stream().mapToInt(Block::tokens).sum());
    }
  }

  /** 6 queries × 64 keys are computed where any of them is seen. */
  @ParameterizedTest
  @ValueSource(ints = {1, 6, 600, 2048})
  void aCausalBlockComputesHalfAPanelMore(int tokens) {
    AttentionMask mask = AttentionMask.causal();
    List<Block> block = new BlockGrid(tokens).blocks(0, 0, tokens);
    long[] work = BlockWork.queryWork(mask, new long[1], block, block);
    WorkProfile profile = new WorkProfile(mask, new long[1], block, block, work);
    RankWork all = profile.queryRankWork(new int[1], 1)[0];
    double computed = 0;
    for (int strip = 0; strip < tokens; strip += 6) {
      int last = Math.min(strip + 6, tokens);
      computed += 6 * 64 * Math.ceil(last / 64.0);
    }
    if (tokens == 1) {
      // The pair is FULL: one query, one key.
      assertThat(all.computedScores()).isEqualTo(6);
    } else {
      // Three groups of rows are looked at: the first, the middle and the last.
      assertThat(all.computedScores()).isCloseTo(computed, within(computed * 0.02));
    }
  }

  @Test
  void aWideDilationComputesItsWholeWindow() {
    AttentionMask mask = AttentionMask.parse("dilated-window:4095,16");
    List<Block> blocks = new BlockGrid(2048).blocks(0, 0, 16_384);
    long[] work = BlockWork.queryWork(mask, new long[1], blocks, blocks);
    RankWork all =
        new WorkProfile(mask, new long[1], blocks, blocks, work)
            .queryRankWork(new int[blocks.size()], 1)[0];
    AttentionMask window = AttentionMask.parse("sliding-window:4095");
    double pairs = Arrays.stream(BlockWork.queryWork(window, new long[1], blocks, blocks)).sum();
    assertThat(all.computedScores() / pairs).isBetween(1.0, 1.1);
    assertThat(all.maskedScores()).isCloseTo(all.computedScores(), within(pairs * 0.01));
  }

  /** 48,829 query blocks × as many key blocks: by pairs it would take minutes. */
  @Test
  void hundredMillionTokensAreLookedAtInTimeLinearInBlocks() {
    AttentionMask mask = AttentionMask.causal();
    List<Block> blocks = new BlockGrid(2048).blocks(0, 0, 100_000_000);
    long[] work = BlockWork.queryWork(mask, new long[1], blocks, blocks);
    WorkProfile profile = new WorkProfile(mask, new long[1], blocks, blocks, work);
    long n = blocks.size();
    assertThat(profile.blockPairs(Coverage.FULL)).isEqualTo(n * (n - 1) / 2);
    assertThat(profile.blockPairs(Coverage.PARTIAL)).isEqualTo(n);
  }
}

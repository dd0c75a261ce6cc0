package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class BlockAssignmentTest {

  @Test
  void ownsEightBlocksOnTwoRanks() {
    long[] causal = {1, 2, 3, 4, 5, 6, 7, 8};
    assertThat(BlockAssignment.CONTIGUOUS.ranks(causal, 2)).containsExactly(0, 0, 0, 0, 1, 1, 1, 1);
    assertThat(BlockAssignment.ZIGZAG.ranks(causal, 2)).containsExactly(0, 0, 1, 1, 1, 1, 0, 0);
    assertThat(BlockAssignment.STRIPED.ranks(causal, 2)).containsExactly(0, 1, 0, 1, 0, 1, 0, 1);
    assertThat(BlockAssignment.BALANCED.ranks(causal, 2)).containsExactly(0, 1, 1, 0, 0, 1, 1, 0);
  }

  @ParameterizedTest
  @EnumSource
  void givesEachBlockOneRankAndEachRankItsShareOfBlocks(BlockAssignment assignment) {
    for (int blocks = 0; blocks <= 40; blocks++) {
      long[] equal = new long[blocks];
      Arrays.fill(equal, 7);
      for (int ringSize = 1; ringSize <= 12; ringSize++) {
        for (long[] work : List.of(equal, new long[blocks])) {
          int[] ranks = assignment.ranks(work, ringSize);
          assertThat(ranks).hasSize(blocks);
          int[] owned = owned(ranks, ringSize);
          int most = Arrays.stream(owned).max().orElseThrow();
          int fewest = Arrays.stream(owned).min().orElseThrow();
          assertThat(most - fewest)
              .as("%s of %d blocks on %d ranks", assignment, blocks, ringSize)
              .isLessThanOrEqualTo(1);
          assertThat(assignment.ranks(work, ringSize)).isEqualTo(ranks);
        }
      }
    }
  }

  /** Also that every rank is in range: another one is an index out of bounds here. */
  private static int[] owned(int[] ranks, int ringSize) {
    int[] owned = new int[ringSize];
    for (int rank : ranks) {
      owned[rank]++;
    }
    return owned;
  }

  @Test
  void keepsRunsOfConsecutiveBlocksTogether() {
    for (int blocks = 1; blocks <= 40; blocks++) {
      for (int ringSize = 1; ringSize <= 12; ringSize++) {
        long[] work = new long[blocks];
        assertThat(changes(BlockAssignment.CONTIGUOUS.ranks(work, ringSize)))
            .isLessThanOrEqualTo(ringSize - 1);
        assertThat(BlockAssignment.CONTIGUOUS.ranks(work, ringSize)).isSorted();
        assertThat(changes(BlockAssignment.ZIGZAG.ranks(work, ringSize)))
            .isLessThanOrEqualTo(2 * ringSize - 2 + 2 * (blocks % (2 * ringSize)));
      }
    }
  }

  private static int changes(int[] ranks) {
    int changes = 0;
    for (int i = 1; i < ranks.length; i++) {
      changes += ranks[i] == ranks[i - 1] ? 0 : 1;
    }
    return changes;
  }

  @Test
  void balancesTheHeaviestFirstWithTiesToLowerBlockAndLowerRank() {
    assertThat(BlockAssignment.BALANCED.ranks(new long[] {3, 5, 3, 5, 4}, 2))
        .containsExactly(1, 0, 1, 1, 0);
    assertThat(BlockAssignment.BALANCED.ranks(new long[] {0, 9, 0, 0, 1, 0}, 3))
        .containsExactly(2, 0, 0, 1, 1, 2);
  }

  @Test
  void staysWithinGrahamsBoundOfALowerBound() {
    long seed = 42;
    Random random = new Random(seed);
    for (int round = 0; round < 500; round++) {
      int ringSize = 1 + random.nextInt(8);
      long[] work = random.longs(ringSize + random.nextInt(60), 1, 1000).toArray();
      long[] load = load(work, BlockAssignment.BALANCED.ranks(work, ringSize), ringSize);
      double mean = (double) Arrays.stream(work).sum() / ringSize;
      double max = Arrays.stream(load).max().orElseThrow();
      long heaviest = Arrays.stream(work).max().orElseThrow();
      // Graham 1966: any greedy list schedule ends within mean + (1 - 1/P) of one block.
      assertThat(max)
          .as("seed %d, round %d", seed, round)
          .isLessThanOrEqualTo(mean + (1 - 1.0 / ringSize) * heaviest + 1e-9);
    }
  }

  private static long[] load(long[] work, int[] ranks, int ringSize) {
    long[] load = new long[ringSize];
    for (int i = 0; i < work.length; i++) {
      load[ranks[i]] += work[i];
    }
    return load;
  }

  private static double skew(BlockAssignment assignment, long[] work, int ringSize) {
    long[] load = load(work, assignment.ranks(work, ringSize), ringSize);
    double mean = (double) Arrays.stream(load).sum() / ringSize;
    return Arrays.stream(load).max().orElseThrow() / mean;
  }

  private static long[] causalWork(List<Long> lengths, int blockTokens) {
    BlockGrid grid = new BlockGrid(blockTokens);
    List<Block> blocks = new ArrayList<>();
    for (int sequence = 0; sequence < lengths.size(); sequence++) {
      blocks.addAll(grid.blocks(sequence, 0, lengths.get(sequence)));
    }
    return BlockWork.queryWork(AttentionMask.causal(), new long[lengths.size()], blocks, blocks);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 7, 8, 16, 32})
  void balancesACausalMaskWhereRanksOwnEightBlocks(int ringSize) {
    for (int blocksPerRank : new int[] {8, 10, 16, 64}) {
      // The last block is short, as in most data.
      long tokens = 128L * blocksPerRank * ringSize - 5;
      long[] work = causalWork(List.of(tokens), 128);
      assertThat(skew(BlockAssignment.ZIGZAG, work, ringSize)).isLessThanOrEqualTo(1.05);
      assertThat(skew(BlockAssignment.BALANCED, work, ringSize)).isLessThanOrEqualTo(1.05);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8, 16, 32})
  void losesOneBlockToRunsOfUnequalLengthAtMost(int ringSize) {
    for (int blocks = 2 * ringSize; blocks <= 20 * ringSize; blocks++) {
      double average = (double) blocks / ringSize;
      long[] work = causalWork(List.of(16L * blocks), 16);
      assertThat(skew(BlockAssignment.ZIGZAG, work, ringSize))
          .as("%d blocks", blocks)
          .isLessThanOrEqualTo(1 + 1 / average);
      if (average >= 8) {
        assertThat(skew(BlockAssignment.BALANCED, work, ringSize))
            .as("%d blocks", blocks)
            .isLessThanOrEqualTo(1.05);
      }
    }
  }

  @Test
  void contiguousIsWhatTheOthersImproveOn() {
    long[] work = causalWork(List.of(128L * 64), 128);
    assertThat(skew(BlockAssignment.CONTIGUOUS, work, 8)).isGreaterThan(1.8);
    assertThat(skew(BlockAssignment.STRIPED, work, 8)).isBetween(1.05, 1.2);
  }

  @ParameterizedTest
  @CsvSource({"2, 2048", "4, 2048", "8, 2048", "16, 1024", "32, 512"})
  void balancesOneLongSequenceAmongManyShortOnes(int ringSize, int blockTokens) {
    List<Long> lengths = new ArrayList<>();
    Random random = new Random(7);
    for (int i = 0; i < 1_000; i++) {
      lengths.add(1L + random.nextInt(2_000));
    }
    lengths.add(500, 100_000L);
    assertThat(skew(BlockAssignment.BALANCED, causalWork(lengths, blockTokens), ringSize))
        .isLessThanOrEqualTo(1.10);
  }

  @ParameterizedTest
  @EnumSource
  void readsWhatItPrints(BlockAssignment assignment) {
    assertThat(BlockAssignment.parse(assignment.toString())).isEqualTo(assignment);
    assertThat(assignment.toString()).isLowerCase();
  }

  @Test
  void refusesWhatItCannotAssign() {
    assertThatThrownBy(() -> BlockAssignment.parse("random"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid assignment: 'random' (expected contiguous, zigzag, striped or balanced)");
    assertThatThrownBy(() -> BlockAssignment.STRIPED.ranks(new long[1], 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid ring size: 0 ranks (expected >= 1)");
  }
}

package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class RingScheduleTest {

  private static final BlockGrid GRID = new BlockGrid(3);
  private static final long[] OFFSETS = {0, 2, -3};
  private static final List<Block> QUERIES =
      joined(GRID.blocks(0, 0, 12), GRID.blocks(1, 4, 7), GRID.blocks(2, 0, 2));
  private static final List<Block> KEYS =
      joined(GRID.blocks(0, 0, 12), GRID.blocks(1, 0, 13), GRID.blocks(2, 0, 5));

  static Stream<MaskOracle> masks() {
    return Stream.concat(
        MaskOracle.all().stream(),
        IntStream.range(0, 20).mapToObj(seed -> MaskOracle.random(new Random(seed), 3, 12)));
  }

  @SafeVarargs
  private static List<Block> joined(List<Block>... parts) {
    List<Block> blocks = new ArrayList<>();
    for (List<Block> part : parts) {
      blocks.addAll(part);
    }
    return blocks;
  }

  /** A schedule beside what it was made from. */
  private static final class Ring {
    final MaskOracle oracle;
    final int ringSize;
    final int[] queryRanks;
    final List<List<Block>> keyRuns;
    final int[] runShards;
    final RingSchedule schedule;

    Ring(MaskOracle oracle, BlockAssignment assignment, int ringSize, long maxTokens) {
      this.oracle = oracle;
      this.ringSize = ringSize;
      AttentionMask mask = oracle.mask();
      queryRanks = assignment.ranks(BlockWork.queryWork(mask, OFFSETS, QUERIES, KEYS), ringSize);
      int[] shards = assignment.ranks(BlockWork.keyWork(mask, OFFSETS, QUERIES, KEYS), ringSize);
      keyRuns = RingSchedule.runs(KEYS, shards, maxTokens);
      runShards = RingSchedule.runShards(keyRuns, shards);
      schedule = new RingSchedule(mask, OFFSETS, QUERIES, queryRanks, keyRuns, runShards, ringSize);
    }

    List<Block> queriesOf(int rank) {
      return IntStream.range(0, queryRanks.length)
          .filter(i -> queryRanks[i] == rank)
          .mapToObj(QUERIES::get)
          .toList();
    }

    /** Brute force, over single positions. */
    long pairs(int rank, int run) {
      return queriesOf(rank).stream().mapToLong(query -> pairs(query, run)).sum();
    }

    private long pairs(Block query, int run) {
      return keyRuns.get(run).stream()
          .mapToLong(key -> oracle.visiblePairs(query, key, OFFSETS[query.sequence()]))
          .sum();
    }
  }

  private static List<Ring> rings(MaskOracle oracle) {
    List<Ring> rings = new ArrayList<>();
    for (BlockAssignment assignment : BlockAssignment.values()) {
      for (int ringSize : new int[] {1, 2, 3, 5, 20}) {
        for (long maxTokens : new long[] {1, 6, 1000}) {
          rings.add(new Ring(oracle, assignment, ringSize, maxTokens));
        }
      }
    }
    return rings;
  }

  @ParameterizedTest
  @MethodSource("masks")
  void visitsExactlyTheRunsInWhichARankSeesAKeyAndEachOnce(MaskOracle oracle) {
    for (Ring ring : rings(oracle)) {
      for (int rank = 0; rank < ring.ringSize; rank++) {
        int self = rank;
        int[] expected =
            IntStream.range(0, ring.keyRuns.size())
                .filter(run -> ring.pairs(self, run) > 0)
                .toArray();
        assertThat(ring.schedule.runs(rank)).containsExactlyInAnyOrder(expected);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("masks")
  void knowsTheLastVisitInWhichAQueryBlockSeesAKey(MaskOracle oracle) {
    for (Ring ring : rings(oracle)) {
      for (int i = 0; i < QUERIES.size(); i++) {
        int last = -1;
        int[] runs = ring.schedule.runs(ring.queryRanks[i]);
        for (int visit = 0; visit < runs.length; visit++) {
          last = ring.pairs(QUERIES.get(i), runs[visit]) > 0 ? visit : last;
        }
        assertThat(ring.schedule.lastVisit(i)).isEqualTo(last);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("masks")
  void computesEachVisiblePairOnceOnOneRank(MaskOracle oracle) {
    for (Ring ring : rings(oracle)) {
      int[][][] computed = new int[OFFSETS.length][16][16];
      for (int rank = 0; rank < ring.ringSize; rank++) {
        long pairs = 0;
        for (int run : ring.schedule.runs(rank)) {
          pairs += compute(ring, rank, run, computed);
        }
        assertThat(ring.schedule.visiblePairs(rank)).isEqualTo(pairs);
      }
      assertThat(computed).isDeepEqualTo(visible(oracle));
    }
  }

  /** Adds 1 to [sequence][query position][key position] as a rank does that folds a run. */
  private static long compute(Ring ring, int rank, int run, int[][][] computed) {
    long pairs = 0;
    for (Block query : ring.queriesOf(rank)) {
      for (Block key : ring.keyRuns.get(run)) {
        boolean[][] words = ring.oracle.words(query, key, OFFSETS[query.sequence()]);
        for (int row = 0; row < words.length; row++) {
          for (int column = 0; column < words[row].length; column++) {
            if (words[row][column]) {
              computed[query.sequence()][(int) query.start() + row][(int) key.start() + column]++;
              pairs++;
            }
          }
        }
      }
    }
    return pairs;
  }

  @ParameterizedTest
  @MethodSource("masks")
  void countsPairsOfBlocksByWhatIsVisibleOfThem(MaskOracle oracle) {
    Map<Coverage, Long> expected = new EnumMap<>(Coverage.class);
    for (Block query : QUERIES) {
      for (Block key : KEYS) {
        if (query.sequence() == key.sequence()) {
          long pairs = oracle.visiblePairs(query, key, OFFSETS[query.sequence()]);
          long all = (long) query.tokens() * key.tokens();
          Coverage coverage =
              pairs == 0 ? Coverage.EMPTY : pairs == all ? Coverage.FULL : Coverage.PARTIAL;
          expected.merge(coverage, 1L, Long::sum);
        }
      }
    }
    for (Ring ring : rings(oracle)) {
      for (Coverage coverage : Coverage.values()) {
        assertThat(ring.schedule.blockPairs(coverage))
            .as("%s", coverage)
            .isEqualTo(expected.getOrDefault(coverage, 0L));
      }
    }
  }

  private static int[][][] visible(MaskOracle oracle) {
    int[][][] visible = new int[OFFSETS.length][16][16];
    for (Block query : QUERIES) {
      for (Block key : KEYS) {
        boolean[][] matrix = oracle.matrix(query, key, OFFSETS[query.sequence()]);
        for (int row = 0; row < matrix.length; row++) {
          for (int column = 0; column < matrix[row].length; column++) {
            visible[query.sequence()][(int) query.start() + row][(int) key.start() + column] +=
                matrix[row][column] ? 1 : 0;
          }
        }
      }
    }
    return visible;
  }

  @ParameterizedTest
  @MethodSource("masks")
  void followsTheRing(MaskOracle oracle) {
    for (Ring ring : rings(oracle)) {
      for (int rank = 0; rank < ring.ringSize; rank++) {
        int[] runs = ring.schedule.runs(rank);
        int[] steps = ring.schedule.steps(rank);
        assertThat(steps).hasSameSizeAs(runs).isSorted();
        for (int i = 0; i < runs.length; i++) {
          assertThat(ring.runShards[runs[i]]).isEqualTo((rank + steps[i]) % ring.ringSize);
          if (i > 0 && steps[i] == steps[i - 1]) {
            assertThat(runs[i]).isGreaterThan(runs[i - 1]);
          }
        }
      }
    }
  }

  @Test
  void theOrderOfRunsAndQueriesDoesNotMatter() {
    Ring ring = new Ring(MaskOracle.all().get(1), BlockAssignment.ZIGZAG, 3, 6);
    List<Integer> order = new ArrayList<>(IntStream.range(0, ring.keyRuns.size()).boxed().toList());
    Collections.shuffle(order, new Random(5));
    RingSchedule shuffled =
        new RingSchedule(
            ring.oracle.mask(),
            OFFSETS,
            QUERIES,
            ring.queryRanks,
            order.stream().map(ring.keyRuns::get).toList(),
            order.stream().mapToInt(run -> ring.runShards[run]).toArray(),
            3);
    for (int rank = 0; rank < 3; rank++) {
      assertThat(Arrays.stream(shuffled.runs(rank)).map(order::get).toArray())
          .containsExactlyInAnyOrder(ring.schedule.runs(rank));
      assertThat(shuffled.visiblePairs(rank)).isEqualTo(ring.schedule.visiblePairs(rank));
    }
  }

  /** Each turn goes around the ring as its rank would if it owned the blocks of the turn alone. */
  @ParameterizedTest
  @MethodSource("masks")
  void aTurnIsTheRingOfItsBlocks(MaskOracle oracle) {
    int ringSize = 2;
    int turns = 3;
    Ring ring = new Ring(oracle, BlockAssignment.STRIPED, ringSize, 12);
    int[] visitors = new int[QUERIES.size()];
    Arrays.setAll(visitors, i -> i * 7 % turns * ringSize + ring.queryRanks[i]);
    RingSchedule inTurns =
        new RingSchedule(
            ring.oracle.mask(), OFFSETS, QUERIES, visitors, ring.keyRuns, ring.runShards, ringSize);
    assertThat(inTurns.visitors()).isEqualTo(turns * ringSize);
    for (int turn = 0; turn < turns; turn++) {
      int first = turn * ringSize;
      int[] own =
          IntStream.range(0, visitors.length)
              .filter(i -> visitors[i] / ringSize * ringSize == first)
              .toArray();
      RingSchedule alone =
          new RingSchedule(
              ring.oracle.mask(),
              OFFSETS,
              Arrays.stream(own).mapToObj(QUERIES::get).toList(),
              Arrays.stream(own).map(i -> ring.queryRanks[i]).toArray(),
              ring.keyRuns,
              ring.runShards,
              ringSize);
      for (int rank = 0; rank < ringSize; rank++) {
        assertThat(inTurns.runs(first + rank)).containsExactly(alone.runs(rank));
        assertThat(inTurns.steps(first + rank)).containsExactly(alone.steps(rank));
      }
      for (int i = 0; i < own.length; i++) {
        assertThat(inTurns.lastVisit(own[i])).isEqualTo(alone.lastVisit(i));
      }
    }
    for (int rank = 0; rank < ringSize; rank++) {
      assertThat(inTurns.visiblePairs(rank)).isEqualTo(ring.schedule.visiblePairs(rank));
    }
    for (Coverage coverage : Coverage.values()) {
      assertThat(inTurns.blockPairs(coverage)).isEqualTo(ring.schedule.blockPairs(coverage));
    }
  }

  @Test
  void cutsRunsWhereTheShardChangesOrTheyGrowTooLong() {
    List<Block> blocks =
        joined(new BlockGrid(4).blocks(0, 2, 12), new BlockGrid(4).blocks(1, 0, 3));
    int[] shards = {0, 0, 0, 1, 1};
    List<List<Block>> runs = RingSchedule.runs(blocks, shards, 6);
    assertThat(runs)
        .containsExactly(blocks.subList(0, 2), blocks.subList(2, 3), blocks.subList(3, 5));
    assertThat(RingSchedule.runShards(runs, shards)).containsExactly(0, 0, 1);
    assertThat(RingSchedule.runs(blocks, shards, 1)).hasSize(5);
    assertThat(RingSchedule.runs(blocks, shards, Long.MAX_VALUE)).hasSize(2);
    assertThat(RingSchedule.runs(List.of(), new int[0], 6)).isEmpty();
  }

  /** A run is cut where the visitors change only if it is long enough. */
  @Test
  void cutsRunsWhereTheVisitorsChange() {
    List<Block> blocks = new BlockGrid(4).blocks(0, 0, 24);
    int[] shards = {0, 0, 0, 0, 1, 1};
    long[] visitors = {5, 5, 7, 5, 5, 5};
    assertThat(RingSchedule.runs(blocks, shards, visitors, 100, 4))
        .containsExactly(
            blocks.subList(0, 2), blocks.subList(2, 3), blocks.subList(3, 4), blocks.subList(4, 6));
    assertThat(RingSchedule.runs(blocks, shards, visitors, 100, 9))
        .containsExactly(blocks.subList(0, 3), blocks.subList(3, 4), blocks.subList(4, 6));
    assertThat(RingSchedule.runs(blocks, shards, visitors, 100, 100)).hasSize(2);
  }

  /** By brute force over single positions. */
  @ParameterizedTest
  @MethodSource("masks")
  void visitorsAreEqualWhereTheSameRanksSeeAKey(MaskOracle oracle) {
    for (int ringSize : new int[] {1, 3, 20}) {
      Ring ring = new Ring(oracle, BlockAssignment.STRIPED, ringSize, 1);
      List<Block> keys = ring.keyRuns.stream().flatMap(List::stream).toList();
      long[] visitors =
          KeyVisitors.of(oracle.mask(), OFFSETS, QUERIES, ring.queryRanks, keys, ringSize);
      List<List<Integer>> ranks = new ArrayList<>();
      for (int key = 0; key < keys.size(); key++) {
        int run = key;
        ranks.add(
            IntStream.range(0, ringSize).filter(r -> ring.pairs(r, run) > 0).boxed().toList());
        for (int other = 0; other <= key; other++) {
          assertThat(visitors[key] == visitors[other])
              .as("blocks %s and %s", keys.get(key), keys.get(other))
              .isEqualTo(ranks.get(key).equals(ranks.get(other)));
        }
        assertThat(visitors[key] == 0).isEqualTo(ranks.get(key).isEmpty());
      }
    }
  }

  @Test
  void skewIsMaxOverMeanAndOneWithoutWork() {
    List<Block> blocks = new BlockGrid(1).blocks(0, 0, 2);
    int[] ranks = {0, 1};
    List<List<Block>> runs = RingSchedule.runs(blocks, ranks, 1);
    AttentionMask causal = AttentionMask.causal();
    assertThat(
            new RingSchedule(causal, new long[1], blocks, ranks, runs, ranks, 2).skewMaxOverMean())
        .isCloseTo(2 / 1.5, within(1e-12));
    assertThat(
            new RingSchedule(causal, new long[] {-9}, blocks, ranks, runs, ranks, 2)
                .skewMaxOverMean())
        .isEqualTo(1.0);
  }

  @Test
  void refusesOwnersThatDoNotFit() {
    List<Block> blocks = new BlockGrid(1).blocks(0, 0, 2);
    List<List<Block>> runs = List.of(blocks);
    AttentionMask full = AttentionMask.full();
    assertThatThrownBy(
            () -> new RingSchedule(full, new long[1], blocks, new int[1], runs, new int[1], 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid visitors of query blocks: 1 (expected 2)");
    assertThatThrownBy(
            () -> new RingSchedule(full, new long[1], blocks, new int[2], runs, new int[] {2}, 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid shards of key runs: 2 (expected 0 <= owner < 2)");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "causal; 1; 1048576; 1.01", // 512 x 512 blocks
        "causal; 100000; 500; 1.01", // one block each
        "sliding-window:4096; 1; 100000000; 1.01", // 48,829 x 48,829 blocks, nearly all empty
        "dilated-window:65536,8; 1; 1000000; 1.02",
        "documents:@thousands; 1; 1000000; 1.02",
        "causal & documents:@thousands; 1; 1000000; 1.02",
        "causal | global-positions:@thousands; 1; 1000000; 1.02",
        "bigbird:192,64,3,7,64,15625; 1; 1000000; 1.5", // block 0 sees more than a rank's share
        "causal & bigbird:192,64,3,7; 1; 1000000; 1.02",
        "streaming:4,4096; 1; 10000000; 1.02"
      })
  void schedulesLargeInputsQuickly(String text, int sequences, long tokens, double skew) {
    AttentionMask mask = AttentionMask.parse(text, RingScheduleTest::list);
    Assertions.assertTimeout(
        Duration.ofSeconds(2),
        () -> {
          List<Block> blocks = new ArrayList<>();
          for (int sequence = 0; sequence < sequences; sequence++) {
            blocks.addAll(new BlockGrid(2048).blocks(sequence, 0, tokens));
          }
          RingSchedule schedule = balanced(mask, sequences, blocks, 16);
          assertThat(schedule.skewMaxOverMean()).isLessThan(skew);
        });
  }

  /** 1,000 numbers around 1,000: odd lengths, or neighbouring positions. */
  private static String list(String name) {
    assertThat(name).isEqualTo("thousands");
    return IntStream.range(0, 1000)
        .mapToObj(i -> Integer.toString(501 + i))
        .collect(Collectors.joining("\n"));
  }

  private static RingSchedule balanced(
      AttentionMask mask, int sequences, List<Block> blocks, int ringSize) {
    long[] offsets = new long[sequences];
    int[] ranks =
        BlockAssignment.BALANCED.ranks(
            BlockWork.queryWork(mask, offsets, blocks, blocks), ringSize);
    List<List<Block>> runs = RingSchedule.runs(blocks, ranks, 16 * 2048);
    int[] runShards = RingSchedule.runShards(runs, ranks);
    return new RingSchedule(mask, offsets, blocks, ranks, runs, runShards, ringSize);
  }
}

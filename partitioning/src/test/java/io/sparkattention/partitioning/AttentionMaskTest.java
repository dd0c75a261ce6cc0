package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class AttentionMaskTest {

  static List<MaskOracle> masks() {
    return MaskOracle.all();
  }

  @ParameterizedTest
  @MethodSource("masks")
  void agreesWithBruteForceOnEveryPairOfSmallBlocks(MaskOracle oracle) {
    for (int offset = -3; offset <= 3; offset++) {
      for (int blockTokens = 1; blockTokens <= 5; blockTokens++) {
        BlockGrid grid = new BlockGrid(blockTokens);
        for (int firstQuery = 0; firstQuery <= 4; firstQuery++) {
          for (Block query : grid.blocks(0, firstQuery, 12 - firstQuery)) {
            for (Block key : grid.blocks(0, 0, 11)) {
              assertAgrees(oracle, query, key, offset);
            }
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("masks")
  void agreesWithBruteForceOnEveryPairOfIntervals(MaskOracle oracle) {
    int positions = 7;
    for (int offset = -3; offset <= 3; offset++) {
      for (int i = 0; i < positions * positions * positions * positions; i++) {
        int queryStart = i % positions;
        int queryEnd = i / positions % positions + 1;
        int keyStart = i / positions / positions % positions;
        int keyEnd = i / positions / positions / positions + 1;
        if (queryStart < queryEnd && keyStart < keyEnd) {
          Block query = new Block(0, queryStart, queryEnd);
          assertAgrees(oracle, query, new Block(0, keyStart, keyEnd), offset);
        }
      }
    }
  }

  /** Rows of several words, and areas that are halved before they are counted. */
  @ParameterizedTest
  @MethodSource("masks")
  void agreesWithBruteForceOnLargeBlocks(MaskOracle oracle) {
    for (int offset : new int[] {-130, 0, 1, 257}) {
      assertAgrees(oracle, new Block(0, 3, 390), new Block(0, 0, 530), offset);
      assertAgrees(oracle, new Block(0, 0, 64), new Block(0, 64, 128), offset);
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4})
  void agreesWithBruteForceOnRandomCompositions(long seed) {
    Random random = new Random(seed);
    for (int i = 0; i < 500; i++) {
      int size = 4 + random.nextInt(36);
      MaskOracle oracle = MaskOracle.random(random, 3, size);
      for (int j = 0; j < 8; j++) {
        assertAgrees(oracle, block(random, size), block(random, size), random.nextInt(9) - 4);
      }
    }
    for (int i = 0; i < 20; i++) {
      int size = 300 + random.nextInt(600);
      MaskOracle oracle = MaskOracle.random(random, 3, size);
      assertAgrees(oracle, block(random, size), block(random, size), random.nextInt(99) - 49);
    }
  }

  private static Block block(Random random, int size) {
    int start = random.nextInt(size);
    return new Block(0, start, start + 1 + random.nextInt(size));
  }

  private static void assertAgrees(MaskOracle oracle, Block query, Block key, long offset) {
    AttentionMask mask = oracle.mask();
    boolean[][] expected = oracle.matrix(query, key, offset);
    long pairs = count(expected);
    long area = (long) query.tokens() * key.tokens();
    Coverage truth = pairs == 0 ? Coverage.EMPTY : pairs == area ? Coverage.FULL : Coverage.PARTIAL;
    Coverage coverage = mask.coverage(query, key, offset);
    boolean sound =
        coverage == truth || (coverage == Coverage.PARTIAL && mask instanceof CompositeMask);
    if (!sound
        || mask.visiblePairs(query, key, offset) != pairs
        || !Arrays.deepEquals(oracle.words(query, key, offset), expected)
        || (mask instanceof IntervalMask
            && !Arrays.deepEquals(intervals(mask, query, key, offset), expected))) {
      throw new AssertionError(mask + " of " + query + " with " + key + " offset " + offset);
    }
  }

  private static long count(boolean[][] matrix) {
    long count = 0;
    for (boolean[] row : matrix) {
      for (boolean visible : row) {
        count += visible ? 1 : 0;
      }
    }
    return count;
  }

  private static boolean[][] intervals(AttentionMask mask, Block query, Block key, long offset) {
    int[] from = new int[query.tokens()];
    int[] to = new int[query.tokens()];
    Arrays.fill(from, -1);
    Arrays.fill(to, -1);
    assertThat(mask.intervals(query, key, offset, from, to)).isTrue();
    boolean[][] visible = new boolean[query.tokens()][key.tokens()];
    for (int row = 0; row < visible.length; row++) {
      assertThat(from[row]).isBetween(0, from[row] == to[row] ? 0 : to[row]);
      Arrays.fill(visible[row], from[row], to[row], true);
    }
    return visible;
  }

  @ParameterizedTest
  @MethodSource("masks")
  void blocksOfDifferentSequencesNeverSeeEachOther(MaskOracle oracle) {
    Block query = new Block(0, 0, 4);
    Block key = new Block(1, 0, 4);
    assertAgrees(oracle, query, key, 0);
    assertThat(oracle.mask().coverage(query, key, 0)).isEqualTo(Coverage.EMPTY);
  }

  @Test
  void onlyIntervalsAreGivenAsIntervals() {
    Block block = new Block(0, 0, 1);
    int[] from = {7};
    int[] to = {7};
    assertThat(AttentionMask.global(1).intervals(block, block, 0, from, to)).isFalse();
    assertThat(from).containsExactly(7);
    assertThat(to).containsExactly(7);
  }

  @Test
  void countsPairsOfWholeSequencesExactly() {
    long tokens = 3_000_000_001L;
    Block whole = new Block(0, 0, tokens);
    BigInteger n = BigInteger.valueOf(tokens);
    long triangle = n.multiply(n.add(BigInteger.ONE)).shiftRight(1).longValueExact();
    assertCount(AttentionMask.causal(), whole, triangle);
    assertCount(AttentionMask.prefix(2), whole, triangle + 1);
    assertCount(AttentionMask.slidingWindow(1, 0), whole, 2 * tokens - 1);
    assertCount(AttentionMask.dilatedWindow(1L << 40, tokens - 1, 0), whole, tokens + 1);
    // Rows of even and of odd positions see about half of what they see under the causal mask.
    assertCount(AttentionMask.dilatedWindow(tokens, 2, 0), whole, square(tokens / 2 + 1));
    assertCount(AttentionMask.global(1), whole, 2 * tokens - 1);
    assertCount(AttentionMask.sinks(3), whole, 3 * tokens);
    long half = tokens / 2;
    assertCount(AttentionMask.documents(half), whole, square(half) + square(half + 1));
    assertCount(
        AttentionMask.blockSparse(half, new long[] {1}, new long[] {0}), whole, square(half));
    assertCount(AttentionMask.randomBlocks(3, 5, half), whole, 3 * square(half) + tokens);
    AttentionMask causal = AttentionMask.causal();
    assertCount(AttentionMask.union(causal, AttentionMask.global(1)), whole, triangle + tokens - 1);
    assertCount(AttentionMask.intersection(causal, AttentionMask.sinks(1)), whole, tokens);
  }

  private static long square(long n) {
    return Math.multiplyExact(n, n);
  }

  private static void assertCount(AttentionMask mask, Block whole, long pairs) {
    assertThat(mask.visiblePairs(whole, whole, 0)).as(mask.toString()).isEqualTo(pairs);
  }

  @ParameterizedTest
  @ValueSource(strings = {"full", "dilated-window:9223372036854775807,2", "global:1000000000000"})
  void refusesToCountBeyondALong(String mask) {
    Block whole = new Block(0, 0, 1L << 33);
    assertThatThrownBy(() -> AttentionMask.parse(mask).visiblePairs(whole, whole, 0))
        .isInstanceOf(ArithmeticException.class);
  }

  @Test
  void staysExactAtTheEdgeOfThePositions() {
    long last = Block.MAX_POSITION;
    Block high = new Block(0, last - 4, last);
    Block low = new Block(0, 0, 4);
    for (AttentionMask mask :
        List.of(
            AttentionMask.full(),
            AttentionMask.slidingWindow(Long.MAX_VALUE, Long.MAX_VALUE - 1),
            AttentionMask.slidingWindow(2 * last, 2 * last))) {
      assertThat(mask.visiblePairs(high, low, last)).isEqualTo(16);
      assertThat(mask.coverage(low, high, -last)).isEqualTo(Coverage.FULL);
    }
    assertThat(AttentionMask.causal().visiblePairs(high, low, last)).isEqualTo(16);
    assertThat(AttentionMask.causal().visiblePairs(low, high, -last)).isZero();
    assertThat(AttentionMask.causal().visiblePairs(high, high, 0)).isEqualTo(10);
    assertThat(AttentionMask.slidingWindow(1, 0).visiblePairs(low, high, last - 4)).isEqualTo(7);
    AttentionMask far = AttentionMask.dilatedWindow(Long.MAX_VALUE, last, Long.MAX_VALUE);
    assertThat(far.visiblePairs(high, low, last)).isZero();
    assertThat(far.visiblePairs(high, low, 4)).isEqualTo(4);
    assertThat(far.visiblePairs(low, high, 4 - last)).isZero();
    AttentionMask itself = AttentionMask.dilatedWindow(Long.MAX_VALUE, Long.MAX_VALUE, 0);
    assertThat(itself.visiblePairs(low, low, 1)).isEqualTo(3);
    AttentionMask block = AttentionMask.blockSparse(last / 2, new long[] {1}, new long[] {0});
    assertThat(block.coverage(high, low, 0)).isEqualTo(Coverage.FULL);
    assertThat(AttentionMask.documents(last).coverage(high, low, 1)).isEqualTo(Coverage.PARTIAL);
  }

  @Test
  void refusesAnOffsetBeyondThePositions() {
    Block block = new Block(0, 0, 1);
    assertThatThrownBy(() -> AttentionMask.causal().coverage(block, block, Block.MAX_POSITION + 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid offset: 1152921504606846977 (expected -2^60 <= offset <= 2^60)");
  }

  @Test
  void masksAreEqualWhereTheyShowTheSameKeysByTheSameWords() {
    assertThat(AttentionMask.slidingWindow(Long.MAX_VALUE, 0)).isEqualTo(AttentionMask.causal());
    assertThat(AttentionMask.slidingWindow(Long.MAX_VALUE, Long.MAX_VALUE))
        .isEqualTo(AttentionMask.full());
    assertThat(AttentionMask.slidingWindow(1, 2)).isNotEqualTo(AttentionMask.slidingWindow(2, 1));
    assertThat(AttentionMask.dilatedWindow(4, 1, 2)).isEqualTo(AttentionMask.slidingWindow(4, 2));
    assertThat(AttentionMask.globalPositions(2, 1, 0, 2)).isEqualTo(AttentionMask.global(3));
    assertThat(AttentionMask.globalPositions()).isEqualTo(AttentionMask.global(0));
    assertThat(AttentionMask.blockSparse(2, new long[] {1, 0, 1}, new long[] {1, 0, 1}))
        .isEqualTo(AttentionMask.blockSparse(2, new long[] {0, 1}, new long[] {0, 1}));
    assertThat(AttentionMask.union(AttentionMask.causal())).isEqualTo(AttentionMask.causal());
    assertThat(AttentionMask.global(3)).isNotEqualTo(AttentionMask.sinks(3)).isNotEqualTo("x");
  }

  @Test
  void refusesWhatIsNoMask() {
    assertThatThrownBy(() -> AttentionMask.union())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid union: no masks (expected some)");
    assertThatThrownBy(() -> AttentionMask.documents())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid documents: none (expected their lengths)");
    assertThatThrownBy(() -> AttentionMask.blockSparse(4, new long[1], new long[2]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid block list: 1 query blocks with 2 key blocks (expected pairs, at least one)");
    assertThatThrownBy(() -> AttentionMask.blockSparse(4, new long[0], new long[0]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid block list: 0 query blocks with 0 key blocks (expected pairs, at least one)");
    assertThatThrownBy(() -> AttentionMask.slidingWindow(3, -1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid sliding window: left 3, right -1 (expected >= 0)");
    assertThatThrownBy(() -> AttentionMask.randomBlocks(1, -1, 64))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid random blocks: seed -1 (expected >= 0)");
    assertThatThrownBy(() -> AttentionMask.sinks(-1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid sinks: -1 tokens (expected 0 to 2^60)");
  }

  @Test
  void allMasksButFullMayGiveRowsUnequalWork() {
    for (MaskOracle oracle : masks()) {
      assertThat(oracle.mask().unequalWork()).isEqualTo(!oracle.toString().equals("full"));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "causal & prefix:99 & sinks:99 & global:99 & sliding-window:99 & dilated-window:99,9; 0",
        "documents:3,4,5; 8", // the last one begins at 7 and may be cut
        "global-positions:9,2; 10",
        "global-positions:1,0; 0",
        "block-sparse:4,1-2,0-5; 21",
        "block-sparse:4,6-2,0-5; 25",
        "random-blocks:1,7,64; 0",
        "random-blocks:1,7,64,16; 961",
        "causal & (documents:3,4,5 | global-positions:9); 10"
      })
  void knowsHowFarItsListsReach(String text, long end) {
    assertThat(AttentionMask.parse(text).namedEnd()).isEqualTo(end);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "full; full",
        "documents:1,2,3,4,5,6,7,8; documents:1,2,3,4,5,6,7,8",
        "documents:1,2,3,4,5,6,7,8,9,10; documents:1,2,3,4,5,6,7,8,… 2 more",
        "causal & (sinks:1 | global-positions:1,3,5,7,9,11,13,15,17) | full; causal & (sinks:1 |"
            + " global-positions:1,3,5,7,9,11,13,15,… 1 more) | full",
        "((documents:1,2,3,4,5,6,7,8,9 | full) & sinks:1 | causal) & sinks:2;"
            + " ((documents:1,2,3,4,5,6,7,8,… 1 more | full) & sinks:1 | causal) & sinks:2",
        "(causal | (full | documents:1,2,3,4,5,6,7,8,9) & sinks:3) & sinks:4; (causal | (full |"
            + " documents:1,2,3,4,5,6,7,8,… 1 more) & sinks:3) & sinks:4"
      })
  void aSummaryHasTheBeginningOfLongLists(String text, String summary) {
    assertThat(AttentionMask.parse(text).summary()).isEqualTo(summary);
  }

  @ParameterizedTest
  @MethodSource("masks")
  void travelsBySerialization(MaskOracle oracle) throws Exception {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject(oracle.mask());
      out.writeObject(new BlockGrid(4));
      out.writeObject(new Block(1, 2, 3));
    }
    try (ObjectInputStream in =
        new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
      AttentionMask mask = (AttentionMask) in.readObject();
      assertThat(mask).isEqualTo(oracle.mask()).hasSameHashCodeAs(oracle.mask());
      assertAgrees(
          new MaskOracle(mask, oracle.definition()), new Block(0, 0, 9), new Block(0, 0, 9), 0);
      assertThat(in.readObject()).isEqualTo(new BlockGrid(4));
      assertThat(in.readObject()).isEqualTo(new Block(1, 2, 3));
    }
  }
}

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
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
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

  private static void assertAgrees(MaskOracle oracle, Block query, Block key, long offset) {
    AttentionMask mask = oracle.mask();
    boolean[][] expected = oracle.matrix(query, key, offset);
    int[] from = new int[query.tokens()];
    int[] to = new int[query.tokens()];
    Arrays.fill(from, -1);
    Arrays.fill(to, -1);
    mask.visibleKeys(query, key, offset, from, to);
    long pairs = 0;
    for (int row = 0; row < expected.length; row++) {
      boolean[] visible = new boolean[key.tokens()];
      Arrays.fill(visible, from[row], to[row], true);
      if (!Arrays.equals(visible, expected[row]) || (from[row] == to[row] && from[row] != 0)) {
        throw new AssertionError(
            mask + " row " + row + " of " + query + " with " + key + " offset " + offset);
      }
      pairs += to[row] - from[row];
    }
    long area = (long) query.tokens() * key.tokens();
    Coverage coverage =
        pairs == 0 ? Coverage.EMPTY : pairs == area ? Coverage.FULL : Coverage.PARTIAL;
    if (mask.visiblePairs(query, key, offset) != pairs
        || mask.coverage(query, key, offset) != coverage) {
      throw new AssertionError(mask + " of " + query + " with " + key + " offset " + offset);
    }
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
  void countsPairsOfWholeSequencesExactly() {
    long tokens = 3_000_000_001L;
    Block whole = new Block(0, 0, tokens);
    BigInteger n = BigInteger.valueOf(tokens);
    BigInteger triangle = n.multiply(n.add(BigInteger.ONE)).shiftRight(1);
    assertThat(AttentionMask.causal().visiblePairs(whole, whole, 0))
        .isEqualTo(triangle.longValueExact());
    assertThat(AttentionMask.slidingWindow(1, 0).visiblePairs(whole, whole, 0))
        .isEqualTo(2 * tokens - 1);
  }

  @Test
  void refusesToCountBeyondALong() {
    Block whole = new Block(0, 0, 1L << 33);
    assertThatThrownBy(() -> AttentionMask.full().visiblePairs(whole, whole, 0))
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
  }

  @Test
  void refusesAnOffsetBeyondThePositions() {
    Block block = new Block(0, 0, 1);
    assertThatThrownBy(() -> AttentionMask.causal().coverage(block, block, Block.MAX_POSITION + 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid offset: 1152921504606846977 (expected -2^60 <= offset <= 2^60)");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"full", "causal", "sliding-window:0", "sliding-window:4096", "sliding-window:7,3"})
  void readsWhatItPrints(String text) {
    AttentionMask mask = AttentionMask.parse(text);
    assertThat(mask).hasToString(text).isEqualTo(AttentionMask.parse(text));
    assertThat(mask).hasSameHashCodeAs(AttentionMask.parse(text));
    assertThat(mask.unequalWork()).isEqualTo(!text.equals("full"));
  }

  @Test
  void masksAreEqualWhereTheyShowTheSameKeys() {
    assertThat(AttentionMask.parse("sliding-window:5,0")).hasToString("sliding-window:5");
    assertThat(AttentionMask.slidingWindow(Long.MAX_VALUE, 0)).isEqualTo(AttentionMask.causal());
    assertThat(AttentionMask.slidingWindow(Long.MAX_VALUE, Long.MAX_VALUE))
        .isEqualTo(AttentionMask.full());
    assertThat(AttentionMask.slidingWindow(1, 2)).isNotEqualTo(AttentionMask.slidingWindow(2, 1));
    AttentionMask lookAhead = AttentionMask.slidingWindow(Long.MAX_VALUE, 5);
    assertThat(AttentionMask.parse(lookAhead.toString())).isEqualTo(lookAhead);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"diagonal", "", "Causal", "full ", "sliding-window", "sliding-window:1,2,3"})
  void refusesUnknownMasks(String text) {
    assertThatThrownBy(() -> AttentionMask.parse(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid mask: '%s' (expected full, causal or sliding-window:LEFT[,RIGHT])", text);
  }

  @ParameterizedTest
  @ValueSource(strings = {"-1", "two", "", "+1", "1.5", " 1", "٣", "9223372036854775808"})
  void namesWindowSizesThatAreNone(String size) {
    assertThatThrownBy(() -> AttentionMask.parse("sliding-window:" + size))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid mask: 'sliding-window:%s' (LEFT is '%s', expected a whole number from 0 to"
                + " 9223372036854775807)",
            size, size);
    assertThatThrownBy(() -> AttentionMask.parse("sliding-window:4," + size))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid mask: 'sliding-window:4,%s' (RIGHT is '%s', expected a whole number from 0 to"
                + " 9223372036854775807)",
            size, size);
  }

  @Test
  void refusesNegativeWindows() {
    assertThatThrownBy(() -> AttentionMask.slidingWindow(3, -1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid sliding window: left 3, right -1 (expected >= 0)");
  }

  @Test
  void travelsBySerialization() throws Exception {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject(AttentionMask.causal());
      out.writeObject(new BlockGrid(4));
      out.writeObject(new Block(1, 2, 3));
    }
    try (ObjectInputStream in =
        new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
      assertThat(in.readObject()).isEqualTo(AttentionMask.causal());
      assertThat(in.readObject()).isEqualTo(new BlockGrid(4));
      assertThat(in.readObject()).isEqualTo(new Block(1, 2, 3));
    }
  }
}

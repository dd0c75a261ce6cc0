package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class AttentionKernelTest {
  private static final AttentionKernel SCALAR = new ScalarAttentionKernel();
  private static final AttentionKernel VECTOR = new VectorAttentionKernel();
  private static final int FAR = 1 << 29;

  /** Heads, key/value heads, keyDim, valueDim, queries, keys, block keys, offset, left, right. */
  static Stream<Arguments> shapes() {
    return Stream.of(
        Arguments.of(1, 1, 64, 64, 40, 1100, 1024, 0, FAR, FAR),
        Arguments.of(1, 1, 1, 1, 1, 1, 16, 0, FAR, FAR),
        Arguments.of(6, 2, 48, 80, 37, 531, 256, 531 - 37, FAR, 0),
        Arguments.of(2, 1, 32, 7, 130, 130, 64, 0, FAR, 0),
        Arguments.of(1, 1, 17, 65, 129, 257, 100, 3, 20, 5),
        Arguments.of(3, 3, 5, 128, 7, 63, 2048, -4, 9, 0),
        Arguments.of(2, 2, 512, 512, 5, 70, 64, 0, FAR, FAR),
        Arguments.of(1, 1, 128, 33, 15, 1025, 513, -3, FAR, 0),
        Arguments.of(4, 2, 16, 16, 9, 640, 600, 600, 512, 30));
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void scalarAndVectorGiveTheSameBits(
      int heads,
      int kvHeads,
      int keyDim,
      int valueDim,
      int queries,
      int keys,
      int block,
      int offset,
      int left,
      int right) {
    HeadLayout layout = new HeadLayout(heads, kvHeads, keyDim, valueDim);
    AttentionCase c = new AttentionCase(layout, queries, keys, 11);
    assertThat(AttentionCase.finish(c.attend(VECTOR, block, offset, left, right)))
        .containsExactly(AttentionCase.finish(c.attend(SCALAR, block, offset, left, right)));
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void anyNumberOfThreadsGivesTheSameBits(
      int heads,
      int kvHeads,
      int keyDim,
      int valueDim,
      int queries,
      int keys,
      int block,
      int offset,
      int left,
      int right) {
    HeadLayout layout = new HeadLayout(heads, kvHeads, keyDim, valueDim);
    AttentionCase c = new AttentionCase(layout, 8 * queries, keys, 15);
    float[] one = AttentionCase.finish(c.attend(VECTOR, block, offset, left, right));
    for (ElementType type : List.of(ElementType.F32, ElementType.BF16)) {
      float[] expected =
          type == ElementType.F32
              ? one
              : AttentionCase.finish(c.attend(VECTOR, type, block, offset, left, right));
      for (int threads : new int[] {2, 3, 7}) {
        assertThat(
                AttentionCase.finish(c.attend(VECTOR, type, block, offset, left, right, threads)))
            .as("%s, %d threads", type, threads)
            .isEqualTo(expected);
      }
    }
  }

  @Test
  void anErrorOnAnyThreadReachesTheCaller() {
    HeadLayout layout = new HeadLayout(3, 3, 8, 8);
    AttentionCase c = new AttentionCase(layout, 700, 50, 16);
    int last = c.query.length - 1;
    c.query[last] = 1e30f;
    for (int threads : new int[] {1, 2, 5}) {
      assertThatThrownBy(() -> c.attend(VECTOR, ElementType.F32, 64, 0, FAR, FAR, threads))
          .isInstanceOf(InvalidElementException.class)
          .hasMessageContaining("score");
    }
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void equalsTheReferenceWithinTheBound(
      int heads,
      int kvHeads,
      int keyDim,
      int valueDim,
      int queries,
      int keys,
      int block,
      int offset,
      int left,
      int right) {
    HeadLayout layout = new HeadLayout(heads, kvHeads, keyDim, valueDim);
    AttentionCase c = new AttentionCase(layout, queries, keys, 12);
    float[] found = AttentionCase.finish(c.attend(VECTOR, block, offset, left, right));
    ReferenceAttention.Result expected = c.reference(offset, left, right);
    assertWithinBound(c, found, expected);
  }

  private static void assertWithinBound(
      AttentionCase c, float[] found, ReferenceAttention.Result expected) {
    // The longest chain of PV is the inner cut.
    double relative = c.relativeBound(AttentionKernel.INNER_KEYS);
    double maxValue = c.maxValue();
    int outputs = expected.output().length;
    for (int i = 0; i < outputs; i++) {
      assertThat((double) found[i] - expected.output()[i])
          .as("output %d", i)
          .isBetween(-relative * maxValue, relative * maxValue);
    }
    for (int i = 0; i < expected.logSumExp().length; i++) {
      double e = expected.logSumExp()[i];
      if (e == Double.NEGATIVE_INFINITY) {
        assertThat(found[outputs + i]).isEqualTo(Float.NEGATIVE_INFINITY);
      } else {
        double bound = relative + Math.abs(e) * 0x1p-23;
        assertThat(found[outputs + i] - e).isBetween(-bound, bound);
      }
    }
  }

  @Test
  void keyBlocksInAnyOrderGiveTheSameBits() {
    HeadLayout layout = new HeadLayout(2, 1, 24, 40);
    AttentionCase c = new AttentionCase(layout, 33, 900, 13);
    int block = 100;
    float[] expected = AttentionCase.finish(c.attend(VECTOR, block, 450, FAR, 0));
    Random random = new Random(14);
    List<Integer> starts = new ArrayList<>();
    for (int start = 0; start < 900; start += block) {
      starts.add(start);
    }
    for (int round = 0; round < 10; round++) {
      Collections.shuffle(starts, random);
      AttentionState state = new AttentionState(2, 33, 40);
      for (int start : starts) {
        VisibleKeys visible = AttentionCase.band(0, 33, start, start + block, 450, FAR, 0);
        VECTOR.fold(c.queryBlock(0, 33), c.keyValueBlock(start, start + block), visible, state);
      }
      assertThat(AttentionCase.finish(state)).containsExactly(expected);
    }
  }

  @Test
  void aRowDoesNotDependOnItsNeighbours() {
    HeadLayout layout = new HeadLayout(1, 1, 16, 16);
    AttentionCase c = new AttentionCase(layout, 50, 600, 15);
    float[] whole = AttentionCase.finish(c.attend(VECTOR, 600, 300, 200, 0));
    for (int row = 0; row < 50; row += 7) {
      AttentionState state = new AttentionState(1, 1, 16);
      VisibleKeys visible = AttentionCase.band(row, row + 1, 0, 600, 300, 200, 0);
      VECTOR.fold(c.queryBlock(row, row + 1), c.keyValueBlock(0, 600), visible, state);
      assertThat(Arrays.copyOf(AttentionCase.finish(state), 16))
          .containsExactly(Arrays.copyOfRange(whole, row * 16, (row + 1) * 16));
    }
  }

  /**
   * Any form of the same visible keys gives the same bits; on one row or many, whole or in part.
   */
  @ParameterizedTest
  @MethodSource("shapes")
  void intervalsAndBitsGiveTheSameBits(
      int heads,
      int kvHeads,
      int keyDim,
      int valueDim,
      int queries,
      int keys,
      int block,
      int offset,
      int left,
      int right) {
    HeadLayout layout = new HeadLayout(heads, kvHeads, keyDim, valueDim);
    AttentionCase c = new AttentionCase(layout, queries, keys, 27);
    for (ElementType type : ElementType.values()) {
      AttentionState state = new AttentionState(heads, queries, valueDim);
      for (int start = 0; start < keys; start += block) {
        int end = Math.min(start + block, keys);
        VisibleKeys band = AttentionCase.band(0, queries, start, end, offset, left, right);
        int blockKeys = end - start;
        int words = QueryBlock.ceilDiv(blockKeys, 64);
        long[] bits = new long[queries * words];
        Arrays.setAll(bits, i -> band.word(0, i / words, i % words, blockKeys));
        VECTOR.fold(
            c.queryBlock(0, queries),
            c.keyValueBlock(start, end, type),
            VisibleKeys.ofBits(bits, words),
            state);
      }
      assertThat(AttentionCase.finish(state))
          .containsExactly(
              AttentionCase.finish(c.attend(VECTOR, type, block, offset, left, right)));
    }
  }

  /** Any set of pairs: sparse and dense, whole panels seen by nobody and by everybody. */
  @Test
  void anySetOfVisibleKeysIsRight() {
    for (int round = 0; round < 24; round++) {
      long seed = 20261125L + round;
      Random random = new Random(seed);
      int queries = 1 + random.nextInt(40);
      int keys = 1 + random.nextInt(1300);
      AttentionCase c = new AttentionCase(new HeadLayout(2, 1, 8, 20), queries, keys, seed);
      int words = QueryBlock.ceilDiv(keys, 64);
      long[] bits = new long[queries * words];
      for (int w = 0; w < words; w++) {
        int kind = random.nextInt(4);
        for (int row = 0; row < queries; row++) {
          long any = random.nextLong();
          bits[row * words + w] = kind == 0 ? 0 : kind == 1 ? -1 : any;
        }
      }
      VisibleKeys visible = VisibleKeys.ofBits(bits, words);
      float[] found = null;
      for (AttentionKernel kernel : List.of(VECTOR, SCALAR)) {
        AttentionState state = new AttentionState(2, queries, 20);
        kernel.fold(c.queryBlock(0, queries), c.keyValueBlock(0, keys), visible, state);
        float[] finished = AttentionCase.finish(state);
        assertThat(found == null ? finished : found).as("seed %d", seed).containsExactly(finished);
        found = finished;
      }
      ReferenceAttention.Result expected =
          ReferenceAttention.attend(
              c.layout,
              c.query,
              c.key,
              c.value,
              c.scale,
              (i, j) -> (bits[i * words + j / 64] >>> j & 1) != 0);
      assertWithinBound(c, found, expected);
    }
  }

  @Test
  void refusesVisibleKeysOfOtherBlocks() {
    AttentionCase c = new AttentionCase(new HeadLayout(1, 1, 4, 4), 3, 70, 28);
    for (VisibleKeys visible :
        List.of(
            VisibleKeys.ofBits(new long[3], 1),
            VisibleKeys.ofBits(new long[5], 2),
            VisibleKeys.ofIntervals(new int[2], new int[3]))) {
      assertThatThrownBy(
              () ->
                  VECTOR.fold(
                      c.queryBlock(0, 3),
                      c.keyValueBlock(0, 70),
                      visible,
                      new AttentionState(1, 3, 4)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageStartingWith("Cannot fold");
    }
  }

  @Test
  void keysThatNobodySeesDoNotMatter() {
    HeadLayout layout = new HeadLayout(1, 1, 16, 16);
    AttentionCase c = new AttentionCase(layout, 9, 200, 16);
    float[] before = AttentionCase.finish(c.attend(VECTOR, 200, 99, FAR, 0));
    Arrays.fill(c.key, 150 * 16, 200 * 16, 1e30f);
    Arrays.fill(c.value, 150 * 16, 200 * 16, -1e30f);
    assertThat(AttentionCase.finish(c.attend(VECTOR, 200, 99, FAR, 0))).containsExactly(before);
  }

  @Test
  void constantValuesGiveThatConstant() {
    AttentionCase c = new AttentionCase(new HeadLayout(1, 1, 8, 3), 5, 700, 17);
    Arrays.fill(c.value, 0.75f);
    float[] found = AttentionCase.finish(c.attend(VECTOR, 512, 0, FAR, FAR));
    for (int i = 0; i < 15; i++) {
      assertThat(found[i]).isBetween(0.75f * (1 - 600 * 0x1p-24f), 0.75f * (1 + 600 * 0x1p-24f));
    }
  }

  @Test
  void addingAConstantToARowsScoresMovesOnlyLogSumExp() {
    AttentionCase c = new AttentionCase(new HeadLayout(1, 1, 9, 4), 6, 300, 18);
    for (int j = 0; j < c.keys; j++) {
      c.key[j * 9 + 8] = 1;
    }
    for (int i = 0; i < c.queries; i++) {
      c.query[i * 9 + 8] = 0;
    }
    float[] before = AttentionCase.finish(c.attend(VECTOR, 128, 0, FAR, FAR));
    for (int i = 0; i < c.queries; i++) {
      c.query[i * 9 + 8] = 30;
    }
    float[] after = AttentionCase.finish(c.attend(VECTOR, 128, 0, FAR, FAR));
    double scoreError = 2 * 11 * (10 + 12) * 0x1p-24;
    for (int i = 0; i < 24; i++) {
      assertThat((double) after[i] - before[i]).isBetween(-4 * scoreError, 4 * scoreError);
    }
    for (int i = 24; i < 30; i++) {
      assertThat(after[i] - before[i] - 30 * c.scale).isBetween(-scoreError, scoreError);
    }
  }

  @Test
  void scoresOfTenThousandAndOnlyNegativeScoresAreRight() {
    for (double factor : new double[] {1e4, -1e4}) {
      AttentionCase c = new AttentionCase(new HeadLayout(1, 1, 1, 2), 20, 1500, 19);
      Random random = new Random(20);
      for (int i = 0; i < 20; i++) {
        c.query[i] = 1;
      }
      for (int j = 0; j < 1500; j++) {
        c.key[j] = (float) (factor * random.nextInt(2) + random.nextInt(64) / 64.0);
      }
      float[] found = AttentionCase.finish(c.attend(VECTOR, 700, 0, FAR, FAR));
      assertThat(AttentionCase.finish(c.attend(SCALAR, 700, 0, FAR, FAR))).containsExactly(found);
      assertWithinBound(c, found, c.reference(0, FAR, FAR));
    }
  }

  /** Differences around 126 log2 units, where weights end, and far beyond; heads of both kinds. */
  @Test
  void weightsThatVanishGiveTheSameBitsInBothKernels() {
    for (double largest : new double[] {30, 43, 60, 90, 150, 5000}) {
      AttentionCase c = new AttentionCase(new HeadLayout(1, 1, 1, 3), 13, 700, 23);
      Random random = new Random(24);
      for (int i = 0; i < c.queries; i++) {
        c.query[i] = 1;
      }
      for (int j = 0; j < c.keys; j++) {
        c.key[j] = (float) (largest * (2 * random.nextDouble() - 1));
      }
      float[] found = AttentionCase.finish(c.attend(VECTOR, 300, 0, FAR, FAR));
      assertThat(AttentionCase.finish(c.attend(SCALAR, 300, 0, FAR, FAR))).containsExactly(found);
      assertWithinBound(c, found, c.reference(0, FAR, FAR));
    }
  }

  @Test
  void aKeyWithAllTheWeightGivesExactlyItsValue() {
    AttentionCase c = new AttentionCase(new HeadLayout(1, 1, 8, 70), 20, 1500, 25);
    for (int d = 0; d < 8; d++) {
      c.key[900 * 8 + d] = 1000;
    }
    for (int i = 0; i < c.query.length; i++) {
      c.query[i] = 1 + Math.abs(c.query[i]);
    }
    float[] found = AttentionCase.finish(c.attend(VECTOR, 512, 0, FAR, FAR));
    for (int i = 0; i < c.queries; i++) {
      assertThat(Arrays.copyOfRange(found, i * 70, (i + 1) * 70))
          .containsExactly(Arrays.copyOfRange(c.value, 900 * 70, 901 * 70));
    }
  }

  /** Factors of the scores that are no power of two, negative ones and 0. */
  @Test
  void anyScaleOfTheScoresIsRight() {
    HeadLayout layout = new HeadLayout(2, 1, 24, 16);
    for (double scale : new double[] {1, 0.3, -0.3, -1e-3, 0, 7e-20, 0.6931471805599453}) {
      AttentionCase c = new AttentionCase(layout, 19, 200, 26, scale);
      float[] found = AttentionCase.finish(c.attend(VECTOR, 128, 0, FAR, FAR));
      assertThat(AttentionCase.finish(c.attend(SCALAR, 128, 0, FAR, FAR))).containsExactly(found);
      assertWithinBound(c, found, c.reference(0, FAR, FAR));
    }
  }

  @Test
  void aFirstBlockWithoutVisibleKeysLeavesTheRowEmpty() {
    AttentionCase c = new AttentionCase(new HeadLayout(1, 1, 4, 4), 8, 64, 21);
    float[] found = AttentionCase.finish(c.attend(VECTOR, 16, -3, FAR, 0));
    assertThat(Arrays.copyOf(found, 12)).containsOnly(0f);
    assertThat(Arrays.copyOfRange(found, 32, 35)).containsOnly(Float.NEGATIVE_INFINITY);
    assertThat(found[35]).isFinite();
  }

  @Test
  void refusesWhatCannotBeSummed() {
    HeadLayout layout = new HeadLayout(2, 1, 2, 2);
    float[] bad = {1, Float.NaN};
    assertThatThrownBy(() -> new QueryBlock.Packer(layout, 4, 1).put(1, 3, bad, 0))
        .hasMessage("Invalid query in head 1, row 3: NaN (expected finite)");
    assertThatThrownBy(() -> new KeyValueBlock.Packer(layout, 4).putKey(0, 2, bad, 0))
        .hasMessage("Invalid key in head 0, row 2: NaN (expected finite)");
    float[] huge = {1, Float.MAX_VALUE};
    assertThatThrownBy(() -> new KeyValueBlock.Packer(layout, 4).putValue(0, 2, huge, 0))
        .isInstanceOf(InvalidElementException.class)
        .hasMessageContaining("Invalid value in head 0, row 2");
  }

  @Test
  void refusesARowBeyondTheBlock() {
    HeadLayout layout = new HeadLayout(2, 2, 2, 2);
    float[] row = {1, 2};
    QueryBlock.Packer queries = new QueryBlock.Packer(layout, 4, 1);
    KeyValueBlock.Packer keys = new KeyValueBlock.Packer(layout, 64);
    assertThatThrownBy(() -> queries.put(0, 4, row, 0))
        .isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> keys.putKey(0, 64, row, 0))
        .isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> keys.putValue(0, 64, row, 0))
        .isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void refusesAScoreOutOfRangeOnlyWhereItIsVisible() {
    AttentionCase c = new AttentionCase(new HeadLayout(1, 1, 1, 1), 3, 5, 22);
    c.query[1] = 1e5f;
    c.key[4] = 1e4f;
    assertThatThrownBy(() -> c.attend(VECTOR, 5, 0, FAR, FAR))
        .isInstanceOf(InvalidElementException.class)
        .hasMessageStartingWith("Invalid score in head 0, row 1: 1.4426");
    assertThat(c.attend(VECTOR, 5, 0, FAR, 0)).isNotNull();
  }

  @Test
  void choosesTheVectorKernelWhereTheModuleIsThere() {
    assertThat(AttentionKernels.auto().kernel()).isInstanceOf(VectorAttentionKernel.class);
    assertThat(AttentionKernels.named("scalar").kernel().name()).isEqualTo("scalar");
    assertThatThrownBy(() -> AttentionKernels.named("gpu"))
        .hasMessage("Invalid kernel: 'gpu' (expected auto, vector or scalar)");
  }

  @Test
  void refusesHeadCountsThatDoNotDivide() {
    assertThatThrownBy(() -> new HeadLayout(4, 3, 8, 8))
        .hasMessage("Invalid head counts: 4 query heads are not a multiple of 3 key/value heads");
    assertThatThrownBy(() -> new HeadLayout(4, 2, 513, 8))
        .hasMessage("Invalid keyDim: 513 (expected 1 to 512)");
  }
}

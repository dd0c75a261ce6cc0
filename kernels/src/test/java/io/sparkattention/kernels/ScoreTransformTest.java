package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class ScoreTransformTest {
  private static final AttentionKernel SCALAR = new ScalarAttentionKernel();
  private static final AttentionKernel VECTOR = new VectorAttentionKernel();
  private static final float NONE = Float.NEGATIVE_INFINITY;
  private static final long SEED = 20261201;
  private static final int KEYS = 700;
  private static final int QUERIES = 41;
  private static final int BLOCK = 300;

  /** A transform by the positions of the first query and the first key, and what it is to be. */
  private record Variant(
      float softcap, List<Bias> biases, double probability, float[] sinks, boolean causal) {
    ScoreTransform at(int firstQuery, int firstKey) {
      List<ScoreBias> shifted = new ArrayList<>();
      for (Bias bias : biases) {
        shifted.add(
            (head, row, key, count, target) -> {
              for (int j = 0; j < count; j++) {
                target[j] = bias.of(head, firstQuery + row, firstKey + key + j);
              }
            });
      }
      return new ScoreTransform(
          softcap, shifted, new Dropout(probability, SEED, firstQuery, firstKey));
    }

    ReferenceAttention.Result reference(AttentionCase c) {
      double[] logits = new double[c.layout.numHeads()];
      Arrays.setAll(logits, h -> sinks[h]);
      Dropout dropout = new Dropout(probability, SEED, 0, 0);
      return ReferenceAttention.attend(
          c.layout,
          new ReferenceAttention.Tensors(c.query, c.key, c.value),
          (head, i, j, score) -> causal && j > i + offset() ? NONE : score(c, head, i, j, score),
          (head, i, j) -> dropout.keeps(head, i, j) ? 1 / (1 - probability) : 0,
          logits);
    }

    private double score(AttentionCase c, int head, int i, int j, double dot) {
      double score = c.scale * dot;
      if (softcap > 0) {
        score = softcap * Math.tanh(score / softcap);
      }
      for (Bias bias : biases) {
        score += bias.of(head, i, j);
      }
      return score;
    }

    static int offset() {
      return KEYS - QUERIES;
    }

    VisibleKeys visible(int start, int end, int queryStart, int queryEnd) {
      return causal
          ? AttentionCase.band(queryStart, queryEnd, start, end, offset(), 1 << 29, 0)
          : VisibleKeys.all();
    }
  }

  private interface Bias {
    float of(int head, int query, int key);
  }

  private static final Bias ALIBI = (head, i, j) -> -Math.abs(i + 659 - j) / (float) (2 << head);
  private static final Bias HALF_MASKED = (head, i, j) -> (i * 31 + j * 17) % 4 < 2 ? NONE : 0.3f;
  private static final Bias MASKED_ROWS = (head, i, j) -> i % 3 == head % 3 ? NONE : -1;
  private static final float[] NO_SINKS = {NONE, NONE, NONE, NONE};
  private static final float[] SINKS = {0.5f, -3, 40, NONE};

  static Stream<Arguments> variants() {
    List<Arguments> variants = new ArrayList<>();
    for (boolean causal : new boolean[] {false, true}) {
      for (float softcap : new float[] {0, 1.5f}) {
        for (List<Bias> biases :
            List.of(
                List.<Bias>of(),
                List.of(ALIBI),
                List.of(HALF_MASKED),
                List.of(MASKED_ROWS, ALIBI))) {
          for (double probability : new double[] {0, 0.3}) {
            for (float[] sinks : List.of(NO_SINKS, SINKS)) {
              variants.add(Arguments.of(new Variant(softcap, biases, probability, sinks, causal)));
            }
          }
        }
      }
    }
    return variants.stream();
  }

  private static AttentionCase draw() {
    return new AttentionCase(new HeadLayout(4, 2, 24, 20), QUERIES, KEYS, SEED);
  }

  private static float[] attend(
      AttentionKernel kernel, AttentionCase c, Variant variant, int queryRows, int threads) {
    int heads = c.layout.numHeads();
    int valueDim = c.layout.valueDim();
    float[] result = new float[heads * QUERIES * (valueDim + 1)];
    for (int from = 0; from < QUERIES; from += queryRows) {
      int to = Math.min(from + queryRows, QUERIES);
      AttentionState state = new AttentionState(heads, to - from, valueDim);
      for (int start = 0; start < KEYS; start += BLOCK) {
        int end = Math.min(start + BLOCK, KEYS);
        VisibleKeys visible = variant.visible(start, end, from, to);
        kernel.fold(
            c.queryBlock(from, to),
            c.keyValueBlock(start, end),
            visible,
            variant.at(from, start),
            state,
            threads);
      }
      for (int head = 0; head < heads; head++) {
        for (int row = from; row < to; row++) {
          int index = head * QUERIES + row;
          result[heads * QUERIES * valueDim + index] =
              state.finish(
                  head,
                  row - from,
                  variant.sinks()[head],
                  variant.probability(),
                  result,
                  index * valueDim);
        }
      }
    }
    return result;
  }

  @ParameterizedTest
  @MethodSource("variants")
  void equalsTheReferenceToTheSameBitsEverywhere(Variant variant) {
    AttentionCase c = draw();
    float[] found = attend(VECTOR, c, variant, QUERIES, 1);
    assertThat(attend(SCALAR, c, variant, QUERIES, 1)).containsExactly(found);
    assertThat(attend(VECTOR, c, variant, QUERIES, 3)).containsExactly(found);
    assertThat(attend(VECTOR, c, variant, 7, 1)).containsExactly(found);

    ReferenceAttention.Result expected = variant.reference(c);
    // A transformed score adds the softcap's 5 roundings and one for each bias, of scores that
    // matter: within some tens of the largest.
    double relative = c.relativeBound(AttentionKernel.INNER_KEYS) + 2 * 7 * 50 * 0x1p-24;
    double bound = relative * c.maxValue() / (1 - variant.probability());
    int outputs = expected.output().length;
    for (int i = 0; i < outputs; i++) {
      assertThat(found[i] - expected.output()[i]).as("output %d", i).isBetween(-bound, bound);
    }
    for (int i = 0; i < expected.logSumExp().length; i++) {
      double wanted = expected.logSumExp()[i];
      double error = wanted == NONE && found[outputs + i] == NONE ? 0 : found[outputs + i] - wanted;
      double logBound = relative + Math.abs(wanted) * 0x1p-23;
      assertThat(error).as("log-sum-exp %d", i).isBetween(-logBound, logBound);
    }
  }

  @Test
  void aMaskIsTheSameAsBitsAsBitsOfHeadsAndAsBias() {
    AttentionCase c = draw();
    Random random = new Random(SEED);
    int words = QueryBlock.ceilDiv(KEYS, 64);
    long[] bits = new long[QUERIES * words];
    Arrays.setAll(bits, i -> i % 5 == 0 ? 0 : i % 7 == 0 ? -1 : random.nextLong());
    long[] headBits = new long[4 * bits.length];
    Arrays.setAll(headBits, i -> bits[i % bits.length]);
    ScoreBias bias =
        (head, row, key, count, target) -> {
          for (int j = key; j < key + count; j++) {
            target[j - key] = (bits[row * words + j / 64] >>> j & 1) != 0 ? 0 : NONE;
          }
        };
    float[] expected = fold(c, VisibleKeys.ofBits(bits, words), ScoreTransform.NONE);
    assertThat(fold(c, VisibleKeys.ofHeadBits(headBits, QUERIES, words), ScoreTransform.NONE))
        .containsExactly(expected);
    assertThat(fold(c, VisibleKeys.all(), new ScoreTransform(0, List.of(bias), Dropout.NONE)))
        .containsExactly(expected);
  }

  @Test
  void bitsMayDifferBetweenHeads() {
    AttentionCase c = draw();
    Random random = new Random(SEED + 1);
    int words = QueryBlock.ceilDiv(KEYS, 64);
    long[] bits = new long[4 * QUERIES * words];
    Arrays.setAll(bits, i -> random.nextInt(3) == 0 ? 0 : random.nextLong());
    float[] found = fold(c, VisibleKeys.ofHeadBits(bits, QUERIES, words), ScoreTransform.NONE);
    int outputs = QUERIES * c.layout.valueDim();
    for (int head = 0; head < 4; head++) {
      int first = head * QUERIES * words;
      long[] its = Arrays.copyOfRange(bits, first, first + QUERIES * words);
      float[] expected = fold(c, VisibleKeys.ofBits(its, words), ScoreTransform.NONE);
      assertThat(Arrays.copyOfRange(found, head * outputs, (head + 1) * outputs))
          .containsExactly(Arrays.copyOfRange(expected, head * outputs, (head + 1) * outputs));
    }
  }

  private static float[] fold(AttentionCase c, VisibleKeys visible, ScoreTransform transform) {
    AttentionState state = new AttentionState(4, QUERIES, c.layout.valueDim());
    QueryBlock queries = c.queryBlock(0, QUERIES);
    VECTOR.fold(queries, c.keyValueBlock(0, KEYS), visible, transform, state, 1);
    return AttentionCase.finish(state);
  }

  /** A sink is a key whose score is the logit and whose value is zero. */
  @Test
  void aSinkCountsHoweverFarItsLogitIs() {
    AttentionState state = new AttentionState(1, 1, 1);
    state.addLeaf(0, 0, 10, new float[] {6}, 0, 3, SCALAR);
    double sum = 3 * 1024;
    for (float sink : new float[] {NONE, -1e6f, -100, 0, 6, 7, 8, 100, 1e6f}) {
      float[] output = new float[1];
      float logSumExp = state.finish(0, 0, sink, 0, output, 0);
      double all = Math.log(sum) + Math.log1p(Math.exp(sink - Math.log(sum)));
      double expected = sink > 500 ? sink : all;
      assertThat(logSumExp / expected - 1).as("sink %s", sink).isBetween(-1e-7, 1e-7);
      assertThat(output[0] - 6 * 1024 * Math.exp(-expected)).isBetween(-3e-7, 3e-7);
    }
  }

  @Test
  void aRowThatSeesTheSinkAloneIsZero() {
    float[] output = {1};
    assertThat(new AttentionState(1, 1, 1).finish(0, 0, 2.5f, 0, output, 0)).isEqualTo(2.5f);
    assertThat(output).containsExactly(0f);
  }

  @Test
  void dropsTheShareAskedForWithoutPattern() {
    int rows = 400;
    int keys = 4000;
    for (double probability : new double[] {0.01, 0.5, 0.9}) {
      Dropout dropout = new Dropout(probability, SEED, 1L << 33, 77);
      int[] perRow = new int[rows];
      int[] perKey = new int[keys];
      int both = 0;
      for (int i = 0; i < rows; i++) {
        boolean before = false;
        for (int j = 0; j < keys; j++) {
          boolean dropped = !dropout.keeps(3, i, j);
          perRow[i] += dropped ? 1 : 0;
          perKey[j] += dropped ? 1 : 0;
          both += dropped && before ? 1 : 0;
          before = dropped;
        }
      }
      near(Arrays.stream(perRow).sum(), rows * keys, probability);
      near(both, rows * (keys - 1), probability * probability);
      Arrays.stream(perRow).forEach(n -> near(n, keys, probability));
      Arrays.stream(perKey).forEach(n -> near(n, rows, probability));
    }
  }

  /** Six standard deviations of a binomial distribution: one in 10^9. */
  private static void near(int found, int trials, double probability) {
    double deviation = Math.sqrt(trials * probability * (1 - probability));
    double distance = found - trials * probability;
    assertThat(distance).isBetween(-6 * deviation - 1, 6 * deviation + 1);
  }

  @Test
  void refusesWhatIsNoScore() {
    AttentionCase c = draw();
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, 4e6f, -4e6f}) {
      ScoreBias bias = (head, row, key, count, target) -> Arrays.fill(target, 0, count, bad);
      ScoreTransform transform = new ScoreTransform(0, List.of(bias), Dropout.NONE);
      assertThatThrownBy(() -> fold(c, VisibleKeys.all(), transform))
          .isInstanceOf(InvalidElementException.class)
          .hasMessageContaining("score in head 0, row 0");
    }
    assertThatThrownBy(() -> new ScoreTransform(-1, List.of(), Dropout.NONE))
        .hasMessageContaining("softcap: -1.0 (expected a positive number");
    assertThatThrownBy(() -> new Dropout(1, 0, 0, 0))
        .hasMessageContaining("dropout probability: 1.0 (expected from 0 to below 1)");
  }
}

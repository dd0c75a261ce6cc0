package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ScoreMatrixTest {
  private static final float NONE = Float.NEGATIVE_INFINITY;

  /** A score of about 1 in float32 is off by some 2^-24 for each of the 24 products. */
  private static final double TOLERANCE = 3e-6;

  private static final ScoreBias SLOPE =
      (head, row, key, count, target) -> {
        for (int j = 0; j < count; j++) {
          target[j] = (key + j) % 7 == 0 ? NONE : (head + 1) * 0.01f * (row - key - j);
        }
      };

  /** More keys than an inner cut, panels and strips that end early, heads that share keys. */
  @ParameterizedTest
  @CsvSource({"41, 700, F32", "1, 1, F32", "13, 513, BF16", "300, 65, F16"})
  void equalsTheFormula(int queries, int keys, ElementType type) {
    HeadLayout layout = new HeadLayout(4, 2, 24, 20);
    AttentionCase c = new AttentionCase(layout, queries, keys, 20261203);
    if (type != ElementType.F32) {
      round(c.key, type);
    }
    QueryBlock queryBlock = c.queryBlock(0, queries);
    KeyValueBlock keyBlock = c.keyValueBlock(0, keys, type);
    VisibleKeys causal = AttentionCase.band(0, queries, 0, keys, keys - queries, 1 << 29, 0);
    ScoreTransform transform = new ScoreTransform(1.5f, List.of(SLOPE), Dropout.NONE);
    float[] scaled =
        ScoreMatrix.of(
            new VectorAttentionKernel(),
            queryBlock,
            keyBlock,
            VisibleKeys.all(),
            ScoreTransform.NONE);
    float[] masked =
        ScoreMatrix.of(new VectorAttentionKernel(), queryBlock, keyBlock, causal, transform);
    assertThat(
            bits(
                ScoreMatrix.of(
                    new ScalarAttentionKernel(), queryBlock, keyBlock, causal, transform)))
        .isEqualTo(bits(masked));
    float[] bias = new float[keys];
    for (int head = 0; head < layout.numHeads(); head++) {
      for (int i = 0; i < queries; i++) {
        SLOPE.row(head, i, 0, keys, bias);
        for (int j = 0; j < keys; j++) {
          int index = (head * queries + i) * keys + j;
          double score = c.scale * dot(c, head, i, j);
          assertThat((double) scaled[index]).isCloseTo(score, within(TOLERANCE));
          double expected = 1.5 * Math.tanh(score / 1.5) + bias[j];
          if (j > i + keys - queries || expected == NONE) {
            assertThat(masked[index]).isEqualTo(NONE);
          } else {
            assertThat((double) masked[index]).isCloseTo(expected, within(TOLERANCE));
          }
        }
      }
    }
  }

  private static void round(float[] x, ElementType type) {
    for (int i = 0; i < x.length; i++) {
      x[i] =
          type == ElementType.BF16
              ? HalfFloats.bf16ToFloat(HalfFloats.floatToBf16(x[i]))
              : HalfFloats.f16ToFloat(HalfFloats.floatToF16(x[i]));
    }
  }

  private static double dot(AttentionCase c, int head, int i, int j) {
    int keyDim = c.layout.keyDim();
    int query = (head * c.queries + i) * keyDim;
    int key = (c.layout.keyValueHead(head) * c.keys + j) * keyDim;
    double sum = 0;
    for (int d = 0; d < keyDim; d++) {
      sum += (double) c.query[query + d] * c.key[key + d];
    }
    return sum;
  }

  private static int[] bits(float[] x) {
    int[] bits = new int[x.length];
    for (int i = 0; i < x.length; i++) {
      bits[i] = Float.floatToRawIntBits(x[i]);
    }
    return bits;
  }
}

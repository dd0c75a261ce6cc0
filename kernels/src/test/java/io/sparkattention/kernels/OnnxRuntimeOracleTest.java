package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import ai.onnxruntime.OrtException;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The kernel against an implementation that nobody here wrote. */
class OnnxRuntimeOracleTest {
  private static final int FAR = 1 << 29;
  private static final long[] SEEDS = {101, 102, 103};

  /** Heads, key/value heads, keyDim, valueDim, queries, keys, block keys. */
  static Stream<Arguments> shapes() {
    return Stream.of(
        Arguments.of(1, 1, 64, 64, 1, 1, 16),
        Arguments.of(2, 2, 1, 1, 3, 2, 16),
        Arguments.of(1, 1, 64, 64, 256, 256, 128),
        Arguments.of(4, 2, 64, 64, 127, 127, 64),
        Arguments.of(6, 2, 48, 80, 37, 531, 256),
        Arguments.of(2, 1, 32, 7, 130, 130, 64),
        Arguments.of(3, 1, 17, 65, 61, 257, 100),
        Arguments.of(8, 1, 8, 8, 15, 17, 16),
        Arguments.of(1, 1, 128, 33, 701, 699, 512),
        Arguments.of(2, 2, 128, 128, 64, 697, 2048));
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void fullEqualsOnnxRuntime(
      int heads, int kvHeads, int keyDim, int valueDim, int queries, int keys, int block)
      throws OrtException {
    HeadLayout layout = new HeadLayout(heads, kvHeads, keyDim, valueDim);
    compare(layout, queries, keys, block, false);
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void causalTopLeftEqualsOnnxRuntime(
      int heads, int kvHeads, int keyDim, int valueDim, int queries, int keys, int block)
      throws OrtException {
    HeadLayout layout = new HeadLayout(heads, kvHeads, keyDim, valueDim);
    compare(layout, queries, keys, block, true);
  }

  /**
   * Both sides are float32: their difference is at most the sum of their bounds. Ours sums {@link
   * AttentionKernel#INNER_KEYS} products in a chain, ONNX Runtime at most all keys.
   */
  private static void compare(HeadLayout layout, int queries, int keys, int block, boolean causal)
      throws OrtException {
    AttentionKernel kernel = AttentionKernels.auto().kernel();
    for (long seed : SEEDS) {
      AttentionCase c = new AttentionCase(layout, queries, keys, seed);
      float[] expected;
      try (OnnxAttention onnx = OnnxAttention.standard(c, causal)) {
        expected = onnx.output();
      }
      float[] found = AttentionCase.finish(c.attend(kernel, block, 0, FAR, causal ? 0 : FAR));
      double bound =
          (c.relativeBound(AttentionKernel.INNER_KEYS) + c.relativeBound(keys)) * c.maxValue();
      double largest = 0;
      for (int i = 0; i < expected.length; i++) {
        double difference = Math.abs((double) found[i] - expected[i]);
        assertThat(difference).as("seed %d, output %d", seed, i).isLessThanOrEqualTo(bound);
        largest = Math.max(largest, difference);
      }
      System.out.printf("seed %d: off by %.1e of at most %.1e%n", seed, largest, bound);
    }
  }
}

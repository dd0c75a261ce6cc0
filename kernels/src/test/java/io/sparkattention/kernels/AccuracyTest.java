package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import ai.onnxruntime.OrtException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Errors against float64 beside those of ONNX Runtime on the same inputs. */
class AccuracyTest {
  private static final int FAR = 1 << 29;
  private static final int QUERIES = 64;
  private static final int KEYS = 3000;
  private static final int HEAD_DIM = 64;
  private static final int BLOCK_KEYS = 2048;

  /**
   * Mean errors, since the largest of some thousand errors says more about the draw than about the
   * method. Both sides round every product and sum to float32, in other orders: the means of two
   * equally good orders differed by up to a tenth. A key that has all the weight weighs exactly 1
   * on both sides.
   */
  @ParameterizedTest
  @EnumSource
  void isAsAccurateAsOnnxRuntime(Distribution distribution) throws OrtException {
    AttentionCase c = distribution.draw(QUERIES, KEYS, HEAD_DIM);
    double[] expected = c.reference(0, FAR, FAR).output();
    AttentionKernel kernel = AttentionKernels.auto().kernel();
    float[] found = AttentionCase.finish(c.attend(kernel, BLOCK_KEYS, 0, FAR, FAR));
    Errors ours = Errors.of(found, expected);
    Errors theirs;
    try (OnnxAttention onnx = OnnxAttention.multiHead(c)) {
      theirs = Errors.of(onnx.output(), expected);
    }
    System.out.printf(
        "%s: mean error %.1e, ONNX Runtime's %.1e%n", distribution, ours.mean(), theirs.mean());
    assertThat(ours.mean()).isLessThanOrEqualTo(1.1 * theirs.mean());
    assertThat(ours.max())
        .isLessThanOrEqualTo(c.relativeBound(AttentionKernel.INNER_KEYS) * c.maxValue());
  }
}

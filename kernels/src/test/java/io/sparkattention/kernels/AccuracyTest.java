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
   * method. Both sides round every product and sum to float32, in other orders: twice the other's
   * error is the same accuracy. And where one key has all the weight, that weight is exactly 1
   * there and a rounded number between 1/2 and 1 here, so that its product with the value, the
   * denominator and the quotient may each be off by half a unit in the last place, 2^-24 of the
   * output.
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
    double meanOutput = Errors.of(new float[expected.length], expected).mean();
    System.out.printf(
        "%s: mean error %.1e, ONNX Runtime's %.1e%n", distribution, ours.mean(), theirs.mean());
    assertThat(ours.mean()).isLessThanOrEqualTo(2 * theirs.mean() + 3 * 0x1p-24 * meanOutput);
    assertThat(ours.max())
        .isLessThanOrEqualTo(c.relativeBound(AttentionKernel.INNER_KEYS) * c.maxValue());
  }
}

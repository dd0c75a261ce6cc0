package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.ReferenceAttention;

/**
 * What a run wrote for one sequence.
 *
 * @param output [numHeads, queries, valueDim]
 * @param logSumExp [numHeads, queries]
 */
@SuppressWarnings("ArrayRecordComponent") // filled in place
record Attended(float[] output, float[] logSumExp) {
  /**
   * Float32 arithmetic against float64: an output is a weighted mean of values of about 1, whose
   * weights are off by the rounding of their scores, 2^-24 times a score of about 10.
   */
  private static final double OUTPUT_TOLERANCE = 2e-6;

  /** A log-sum-exp of about 6 as a float is off by 2.4e-7; the scores add some of that size. */
  private static final double LOG_SUM_EXP_TOLERANCE = 1e-5;

  /** Room for a result, all zero. */
  Attended(HeadLayout layout, int queries) {
    this(
        new float[layout.numHeads() * queries * layout.valueDim()],
        new float[layout.numHeads() * queries]);
  }

  /**
   * @param rounding largest relative error of the element type that the output was stored in
   */
  void assertCloseTo(ReferenceAttention.Result expected, double rounding, Object what) {
    assertCloseTo(expected, rounding, 1, what);
  }

  /**
   * @param rounding largest relative error of the element type that the output was stored in
   * @param factor of the outputs' tolerance: by which dropout makes the weights that stay larger,
   *     times that of scores beyond 10
   */
  void assertCloseTo(
      ReferenceAttention.Result expected, double rounding, double factor, Object what) {
    assertThat(output).as("%s", what).hasSameSizeAs(expected.output());
    for (int i = 0; i < output.length; i++) {
      double tolerance = OUTPUT_TOLERANCE * factor + rounding * Math.abs(expected.output()[i]);
      if (!(Math.abs(output[i] - expected.output()[i]) <= tolerance)) {
        assertThat((double) output[i])
            .as("output[%d] of %s", i, what)
            .isCloseTo(expected.output()[i], within(tolerance));
      }
    }
    assertThat(logSumExp).as("%s", what).hasSameSizeAs(expected.logSumExp());
    for (int i = 0; i < logSumExp.length; i++) {
      double reference = expected.logSumExp()[i];
      boolean same = Double.isInfinite(reference) && logSumExp[i] == reference;
      if (!same && !(Math.abs(logSumExp[i] - reference) <= LOG_SUM_EXP_TOLERANCE)) {
        assertThat((double) logSumExp[i])
            .as("logSumExp[%d] of %s", i, what)
            .isCloseTo(reference, within(LOG_SUM_EXP_TOLERANCE));
      }
    }
  }

  /** Float by float, as bits: −0 is not 0. */
  void assertSameBits(Attended expected, Object what) {
    assertThat(bits(output)).as("output of %s", what).isEqualTo(bits(expected.output));
    assertThat(bits(logSumExp)).as("logSumExp of %s", what).isEqualTo(bits(expected.logSumExp));
  }

  static int[] bits(float[] x) {
    int[] bits = new int[x.length];
    for (int i = 0; i < x.length; i++) {
      bits[i] = Float.floatToRawIntBits(x[i]);
    }
    return bits;
  }
}

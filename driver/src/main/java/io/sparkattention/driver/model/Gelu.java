package io.sparkattention.driver.model;

import org.apache.commons.math3.special.Erf;

/**
 * The exact Gaussian error linear unit, {@code x · (1 + erf(x / √2)) / 2} (Hendrycks and Gimpel
 * 2016, section 2), as BERT uses it: not the tanh approximation.
 */
final class Gelu {
  /** Beyond this, 1 − erf(x) is below 1.6e-8. */
  private static final double LIMIT = 4;

  private static final int STEPS_PER_UNIT = 64;
  private static final double[] ERF = new double[(int) (LIMIT * STEPS_PER_UNIT) + 1];
  private static final double[] SLOPE = new double[ERF.length];

  static {
    for (int i = 0; i < ERF.length; i++) {
      double x = (double) i / STEPS_PER_UNIT;
      ERF[i] = Erf.erf(x);
      SLOPE[i] = 2 / Math.sqrt(Math.PI) * StrictMath.exp(-x * x);
    }
  }

  private Gelu() {}

  static void apply(float[] values) {
    for (int i = 0; i < values.length; i++) {
      double x = values[i];
      values[i] = (float) (0.5 * x * (1 + erf(x * Math.sqrt(0.5))));
    }
  }

  /**
   * The error function to 2e-8 absolute: the third-order Taylor polynomial about the nearest table
   * entry, at most 1/128 away, with erf'' = −2x·erf' and erf''' = (4x² − 2)·erf'.
   */
  static double erf(double x) {
    double magnitude = Math.abs(x);
    if (magnitude >= LIMIT) {
      return Math.signum(x);
    }
    int nearest = (int) (magnitude * STEPS_PER_UNIT + 0.5);
    double at = (double) nearest / STEPS_PER_UNIT;
    double d = magnitude - at;
    double third = (2 * at * at - 1) / 3;
    double value = ERF[nearest] + SLOPE[nearest] * d * (1 + d * (-at + d * third));
    return x < 0 ? -value : value;
  }
}

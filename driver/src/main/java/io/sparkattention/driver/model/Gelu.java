package io.sparkattention.driver.model;

/**
 * The exact Gaussian error linear unit, {@code x · (1 + erf(x / √2)) / 2} (Hendrycks and Gimpel
 * 2016, section 2), as BERT uses it: not the tanh approximation.
 */
final class Gelu {
  private static final float SQRT_HALF = 0.70710677f;

  /** Beyond this, 1 − erf(x) is below half a unit in the last place of 1. */
  private static final float LIMIT = 3.92f;

  private Gelu() {}

  /** In float32 and without a branch or a table, so that C2 makes vectors of it. */
  static void apply(float[] values) {
    for (int i = 0; i < values.length; i++) {
      float x = values[i];
      values[i] = 0.5f * x * (1f + erf(x * SQRT_HALF));
    }
  }

  /**
   * The error function to 4e-7 absolute: {@code x · P(x²) / Q(x²)}, a minimax fit of degrees 5 and
   * 5 for the relative error on [0, {@value #LIMIT}], which is 1.9e-8; the rest is rounding.
   */
  static float erf(float x) {
    float s = Math.max(-LIMIT, Math.min(LIMIT, x));
    float t = s * s;
    float p = Math.fma(2.0500927e-06f, t, 2.8488166e-04f);
    p = Math.fma(p, t, 3.7655758e-03f);
    p = Math.fma(p, t, 5.2748598e-02f);
    p = Math.fma(p, t, 1.9040553e-01f);
    p = Math.fma(p, t, 1.1283791f);
    float q = Math.fma(3.8091712e-05f, t, 1.1625251e-03f);
    q = Math.fma(q, t, 1.4969135e-02f);
    q = Math.fma(q, t, 1.1410872e-01f);
    q = Math.fma(q, t, 5.0207525e-01f);
    q = Math.fma(q, t, 1f);
    return s * p / q;
  }
}

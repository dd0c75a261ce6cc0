package io.sparkattention.kernels;

/**
 * Powers of two, computed alike by all kernels.
 *
 * <p>A weight is 2^(−u·c) for u ≥ 0 in float32: with {@code z = MAGIC − u·c} the integer −n nearest
 * to −u·c appears in the low bits of z, {@code f = n − u·c} lies in [−½, ½] and has no rounding but
 * its last, and 2^f is a polynomial whose exponent field −n is added to. So the largest score of a
 * row, u = 0, weighs exactly 1.
 *
 * <p>The polynomial is the minimax one of degree 5 for the relative error on [−½, ½], with the
 * constant term fixed to 1: 9.2e-8, and 1.6e-7 as evaluated in float32.
 */
final class Exp2 {
  static final float MAGIC = 12582912f;
  static final float C1 = 0.6931470f;
  static final float C2 = 0.24022242f;
  static final float C3 = 0.05550734f;
  static final float C4 = 0.009671513f;
  static final float C5 = 0.0013264727f;

  /** A u·c of this and more gives n = 127 after clamping, for which the weight is exactly +0. */
  static final float CLAMP = 127f;

  /** Below this no u·c needs the clamp, whatever a few roundings of it do. */
  static final float NO_CLAMP = 125f;

  static final int BITS_OF_ONE = Float.floatToRawIntBits(1f);

  private static final double LN_2 = 0.6931471805599453;

  private Exp2() {}

  /**
   * 2^f for |f| ≤ ½, the Taylor series of degree 8: off by less than 2e-10 of it, which is 0.002
   * units of a float's last place.
   */
  static double ofFraction(double f) {
    double x = f * LN_2;
    double x2 = x * x;
    double x4 = x2 * x2;
    // Pairs that do not wait for each other, since a row waits for this in every key block.
    double low = (1 + x) + x2 * (1.0 / 2 + x * (1.0 / 6));
    double high = (1.0 / 24 + x * (1.0 / 120)) + x2 * (1.0 / 720 + x * (1.0 / 5040));
    return low + x4 * (high + x4 * (1.0 / 40320));
  }

  /** The weight 2^(−u · unit) for u ≥ 0: what every kernel's loop over the scores computes. */
  static float weight(float u, float unit) {
    u = Math.min(u, CLAMP / unit);
    float z = Math.fma(u, -unit, MAGIC);
    float f = Math.fma(u, -unit, MAGIC - z);
    float p = Math.fma(f, C5, C4);
    p = Math.fma(p, f, C3);
    p = Math.fma(p, f, C2);
    p = Math.fma(p, f, C1);
    p = Math.fma(p, f, 1f);
    // The factor is +0 for n = 127.
    return p * Float.intBitsToFloat((Float.floatToRawIntBits(z) << 23) + BITS_OF_ONE);
  }
}

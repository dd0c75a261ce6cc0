package io.sparkattention.kernels;

/**
 * The constants of 2^(−u) for u ≥ 0 in float32, shared by all kernels: with {@code z = MAGIC − u}
 * the integer nearest to −u appears in the low bits of z, {@code g = u + (z − MAGIC)} lies in [−½,
 * ½], and 2^(−g) is a polynomial whose exponent field the integer is added to. u is clamped to 127
 * before, where the result is exactly +0; up to 126 the result is a normal float.
 *
 * <p>The polynomial is the minimax one of degree 5 for the relative error on [−½, ½], with the
 * constant term fixed to 1 so that 2^0 is exactly 1: 9.2e-8, and 1.6e-7 as evaluated in float32.
 */
final class Exp2 {
  static final float MAGIC = 12582912f;
  static final float CLAMP = 127f;
  static final float C1 = -0.6931470f;
  static final float C2 = 0.24022242f;
  static final float C3 = -0.05550734f;
  static final float C4 = 0.009671513f;
  static final float C5 = -0.0013264727f;

  private Exp2() {}
}

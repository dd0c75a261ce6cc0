package io.sparkattention.kernels;

/**
 * The softcap of a score, {@code cap · tanh(s / cap)} (Gemma 2, arXiv:2408.00118, section 2),
 * computed alike by all kernels.
 *
 * <p>With E = e^(−2|s| / cap) − 1, tanh(|s| / cap) = −E / (2 + E). The power of two is cut at the
 * integer −n nearest to −u = −2|s| log2(e) / cap as in {@link Exp2}; with f = n − u, 2^f − 1 = f ·
 * q(f) without cancellation and E = 2^−n · (2^f − 1) + (2^−n − 1): the relative error stays at some
 * units of the last place down to s = 0. The polynomial q is the minimax one of degree 5 for the
 * relative error on [−½, ½] with its constant term fixed: 1.3e-8.
 */
final class Softcap {
  static final float Q0 = 0.6931472f;
  static final float Q1 = 0.24022649f;
  static final float Q2 = 0.055503666f;
  static final float Q3 = 0.009618248f;
  static final float Q4 = 0.0013387767f;
  static final float Q5 = 0.00015398397f;

  /** From this u on tanh is 1 in float32. */
  static final float CLAMP = 32f;

  private static final double LOG2_E = 1.4426950408889634;

  private Softcap() {}

  /** u per |s|. */
  static float rate(float cap) {
    return (float) (2 * LOG2_E / cap);
  }

  /**
   * @param rate {@link #rate} of the cap
   */
  static float of(float s, float cap, float rate) {
    float u = Math.min(Math.abs(s), CLAMP / rate);
    float z = Math.fma(u, -rate, Exp2.MAGIC);
    float f = Math.fma(u, -rate, Exp2.MAGIC - z);
    float q = Math.fma(f, Q5, Q4);
    q = Math.fma(q, f, Q3);
    q = Math.fma(q, f, Q2);
    q = Math.fma(q, f, Q1);
    q = Math.fma(q, f, Q0);
    float power = Float.intBitsToFloat((Float.floatToRawIntBits(z) << 23) + Exp2.BITS_OF_ONE);
    float e = Math.fma(power, q * f, power - 1f);
    return Math.copySign(e * -cap / (e + 2f), s);
  }
}

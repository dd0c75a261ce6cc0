package io.sparkattention.kernels;

/**
 * The two 16-bit floating-point formats and float32: bf16, the upper half of a float32 (8 exponent
 * bits, 7 stored bits of the significand), and IEEE 754 binary16 (5 and 10).
 *
 * <p>Widening is exact for every pattern. Narrowing rounds to nearest, ties to even, as IEEE 754
 * does: subnormals stay subnormal, NaN stays NaN, and a finite value beyond the narrower range
 * becomes an infinity of its sign.
 */
public final class HalfFloats {
  private HalfFloats() {}

  public static float bf16ToFloat(short half) {
    return Float.intBitsToFloat(half << 16);
  }

  public static short floatToBf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if ((bits & 0x7fff_ffff) > 0x7f80_0000) {
      // Quiet, so that a payload without upper bits does not turn into infinity.
      return (short) (bits >>> 16 | 0x0040);
    }
    return (short) ((bits + 0x7fff + (bits >>> 16 & 1)) >>> 16);
  }

  public static float f16ToFloat(short half) {
    int sign = (half & 0x8000) << 16;
    int exponent = half & 0x7c00;
    int fraction = half & 0x03ff;
    if (exponent == 0) {
      // Zero and subnormals are multiples of 2^-24.
      float magnitude = fraction * 0x1p-24f;
      return Float.intBitsToFloat(sign | Float.floatToRawIntBits(magnitude));
    }
    if (exponent == 0x7c00) {
      return Float.intBitsToFloat(sign | 0x7f80_0000 | fraction << 13);
    }
    // The exponents' biases are 15 and 127.
    return Float.intBitsToFloat(sign | (((exponent | fraction) << 13) + (112 << 23)));
  }

  public static short floatToF16(float value) {
    int bits = Float.floatToRawIntBits(value);
    int sign = bits >>> 16 & 0x8000;
    int magnitude = bits & 0x7fff_ffff;
    if (magnitude > 0x7f80_0000) {
      // Quiet, so that a payload without upper bits does not turn into infinity.
      return (short) (sign | 0x7e00 | magnitude >>> 13 & 0x03ff);
    }
    if (magnitude < 0x3880_0000) {
      // Below 2^-14. A float at 1/2 has steps of 2^-24 like the subnormals, so the addition rounds.
      float shifted = Float.intBitsToFloat(magnitude) + 0.5f;
      return (short) (sign | (Float.floatToRawIntBits(shifted) - Float.floatToRawIntBits(0.5f)));
    }
    if (magnitude >= 0x477f_f000) {
      // 65,520 is halfway from the largest half, which is odd, to the next power of two.
      return (short) (sign | 0x7c00);
    }
    int rounded = magnitude + 0x0fff + (magnitude >>> 13 & 1);
    return (short) (sign | (rounded - (112 << 23)) >>> 13);
  }
}

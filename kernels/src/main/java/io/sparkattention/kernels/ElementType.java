package io.sparkattention.kernels;

import java.util.Locale;

/**
 * The type in which the elements of keys and values are stored and shipped. Arithmetic is float32
 * in any case, and every stored element widens to float32 exactly, so that a block gives the bits
 * of a float32 block of the same, rounded, elements.
 */
public enum ElementType {
  F32(Float.BYTES, Float.MAX_VALUE),
  /** The upper half of a float32: its range, 8 significant bits. */
  BF16(Short.BYTES, 0x1.fep127f),
  /** IEEE 754 binary16: 11 significant bits from 2^-14 on, multiples of 2^-24 below. */
  F16(Short.BYTES, 65504f);

  private final int bytes;
  private final float max;

  ElementType(int bytes, float max) {
    this.bytes = bytes;
    this.max = max;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /** The largest finite element. */
  public float max() {
    return max;
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}

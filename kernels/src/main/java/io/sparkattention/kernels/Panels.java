package io.sparkattention.kernels;

import java.util.Arrays;

/**
 * The elements of a block's key panels or value panels, one flat array of one {@link ElementType}.
 */
public final class Panels {
  private final ElementType type;
  private final float[] floats;
  private final short[] halves;

  private Panels(ElementType type, float[] floats, short[] halves) {
    this.type = type;
    this.floats = floats;
    this.halves = halves;
  }

  /** Wraps float32 elements. */
  public static Panels of(float[] floats) {
    return new Panels(ElementType.F32, floats, null);
  }

  /**
   * Wraps 16-bit elements.
   *
   * @param type the meaning of their bits
   */
  public static Panels of(ElementType type, short[] halves) {
    if (type.bytes() != Short.BYTES) {
      throw new IllegalArgumentException("Cannot store " + type + " in 16 bits");
    }
    return new Panels(type, null, halves);
  }

  /** A copy of the elements [from, to). */
  Panels range(int from, int to) {
    return type == ElementType.F32
        ? of(Arrays.copyOfRange(floats, from, to))
        : of(type, Arrays.copyOfRange(halves, from, to));
  }

  /** All elements zero. */
  static Panels zeros(ElementType type, int length) {
    return type == ElementType.F32 ? of(new float[length]) : of(type, new short[length]);
  }

  public ElementType type() {
    return type;
  }

  public int length() {
    return type == ElementType.F32 ? floats.length : halves.length;
  }

  public long bytes() {
    return (long) length() * type.bytes();
  }

  /** The elements of {@link ElementType#F32}, else null; not a copy. */
  public float[] floats() {
    return floats;
  }

  /** The elements of a 16-bit type, else null; not a copy. */
  public short[] halves() {
    return halves;
  }

  /**
   * Stores the element nearest to {@code value}, ties to even, and returns it; an infinity where
   * the value is beyond the type's range.
   */
  float put(int index, float value) {
    if (type == ElementType.F32) {
      floats[index] = value;
      return value;
    }
    short half =
        type == ElementType.BF16 ? HalfFloats.floatToBf16(value) : HalfFloats.floatToF16(value);
    halves[index] = half;
    return get(index);
  }

  /** An element, widened. */
  float get(int index) {
    return switch (type) {
      case F32 -> floats[index];
      case BF16 -> HalfFloats.bf16ToFloat(halves[index]);
      case F16 -> HalfFloats.f16ToFloat(halves[index]);
    };
  }
}

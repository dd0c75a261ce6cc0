package io.sparkattention.kernels;

/** The elements of a block's key panels or value panels, one flat array in a {@link Storage}. */
public final class Panels {
  private final Storage storage;
  private final float[] floats;
  private final short[] halves;

  private Panels(Storage storage, float[] floats, short[] halves) {
    this.storage = storage;
    this.floats = floats;
    this.halves = halves;
  }

  /** Wraps float32 elements. */
  public static Panels of(float[] floats) {
    return new Panels(Storage.F32, floats, null);
  }

  /**
   * Wraps 16-bit elements.
   *
   * @param storage the meaning of their bits
   */
  public static Panels of(Storage storage, short[] halves) {
    if (storage.bytes() != Short.BYTES) {
      throw new IllegalArgumentException("Cannot store " + storage + " in 16 bits");
    }
    return new Panels(storage, null, halves);
  }

  /** All elements zero. */
  static Panels zeros(Storage storage, int length) {
    return storage == Storage.F32 ? of(new float[length]) : of(storage, new short[length]);
  }

  public Storage storage() {
    return storage;
  }

  public int length() {
    return storage == Storage.F32 ? floats.length : halves.length;
  }

  public long bytes() {
    return (long) length() * storage.bytes();
  }

  /** The elements of {@link Storage#F32}, else null; not a copy. */
  public float[] floats() {
    return floats;
  }

  /** The elements of a 16-bit storage, else null; not a copy. */
  public short[] halves() {
    return halves;
  }

  /**
   * Stores an element.
   *
   * @param value already one of the storage's, so that nothing is rounded
   */
  void set(int index, float value) {
    switch (storage) {
      case F32 -> floats[index] = value;
      case BF16 -> halves[index] = HalfFloats.floatToBf16(value);
      case F16 -> halves[index] = HalfFloats.floatToF16(value);
    }
  }
}

package io.sparkattention.driver.io;

import io.sparkattention.kernels.HalfFloats;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.ShortBuffer;
import java.util.Objects;

/**
 * The element type of a stored tensor, as the safetensors format names it; elements are
 * little-endian. {@link #F32}, {@link #F16}, {@link #BF16} and {@link #F64} convert to and from
 * float32, the others are only read as bytes.
 *
 * <p>Conversions to a narrower type round to nearest, ties to even, as IEEE 754 does: subnormals
 * stay subnormal, NaN stays NaN, and a finite value beyond the narrower range becomes an infinity
 * of its sign. So an F64 beyond float32 is seen by whoever checks the decoded values for
 * infinities.
 */
public enum DataType {
  F32(4),
  F16(2),
  BF16(2),
  F64(8),
  BOOL(1),
  I64(8),
  I32(4),
  I16(2),
  I8(1),
  U64(8),
  U32(4),
  U16(2),
  U8(1),
  F8_E4M3(1),
  F8_E5M2(1);

  private final int bytes;

  DataType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /** Whether {@link #decode} and {@link #encode} are defined. */
  public boolean isFloat() {
    return this == F32 || this == F16 || this == BF16 || this == F64;
  }

  /**
   * Converts {@code count} elements from the buffer's position on, which moves behind them, into
   * {@code target[offset], …}. The buffer's own byte order does not matter.
   *
   * @throws UnsupportedOperationException if this is not a float type
   * @throws IllegalArgumentException if the buffer holds fewer elements
   * @throws IndexOutOfBoundsException if the target has fewer places
   */
  public void decode(ByteBuffer littleEndian, float[] target, int offset, int count) {
    ByteBuffer view = view(littleEndian, target.length, offset, count);
    switch (this) {
      case F32 -> view.asFloatBuffer().get(target, offset, count);
      case F16 -> {
        ShortBuffer halves = view.asShortBuffer();
        for (int i = 0; i < count; i++) {
          target[offset + i] = HalfFloats.f16ToFloat(halves.get(i));
        }
      }
      case BF16 -> {
        ShortBuffer halves = view.asShortBuffer();
        for (int i = 0; i < count; i++) {
          target[offset + i] = HalfFloats.bf16ToFloat(halves.get(i));
        }
      }
      case F64 -> {
        for (int i = 0; i < count; i++) {
          target[offset + i] = (float) view.getDouble(i * Double.BYTES);
        }
      }
      default -> throw notFloat();
    }
    littleEndian.position(littleEndian.position() + count * bytes);
  }

  /**
   * Converts {@code source[offset], …} to {@code count} elements from the buffer's position on,
   * which moves behind them. The buffer's own byte order does not matter.
   *
   * @throws UnsupportedOperationException if this is not a float type
   * @throws IllegalArgumentException if the buffer has room for fewer elements
   * @throws IndexOutOfBoundsException if the source holds fewer elements
   */
  public void encode(float[] source, int offset, int count, ByteBuffer littleEndian) {
    ByteBuffer view = view(littleEndian, source.length, offset, count);
    switch (this) {
      case F32 -> view.asFloatBuffer().put(source, offset, count);
      case F16 -> {
        ShortBuffer halves = view.asShortBuffer();
        for (int i = 0; i < count; i++) {
          halves.put(i, HalfFloats.floatToF16(source[offset + i]));
        }
      }
      case BF16 -> {
        ShortBuffer halves = view.asShortBuffer();
        for (int i = 0; i < count; i++) {
          halves.put(i, HalfFloats.floatToBf16(source[offset + i]));
        }
      }
      case F64 -> {
        for (int i = 0; i < count; i++) {
          view.putDouble(i * Double.BYTES, source[offset + i]);
        }
      }
      default -> throw notFloat();
    }
    littleEndian.position(littleEndian.position() + count * bytes);
  }

  private ByteBuffer view(ByteBuffer buffer, int length, int offset, int count) {
    Objects.checkFromIndexSize(offset, count, length);
    if (buffer.remaining() < (long) count * bytes) {
      throw new IllegalArgumentException(
          "Cannot convert "
              + count
              + " "
              + this
              + ": the buffer has "
              + buffer.remaining()
              + " bytes");
    }
    return buffer.slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  private UnsupportedOperationException notFloat() {
    return new UnsupportedOperationException("Cannot convert " + this + " to or from float32");
  }
}

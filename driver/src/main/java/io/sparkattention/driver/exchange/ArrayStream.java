package io.sparkattention.driver.exchange;

import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The elements of an array as {@link BulkArrays} writes them, little-endian, copied 64 KiB at a
 * time when they are read. The array must not change meanwhile.
 */
abstract class ArrayStream extends InputStream {
  private static final int BUFFER_BYTES = 64 << 10;

  private final int length;
  private final int elementBytes;
  private final ByteBuffer buffer;
  private int next;

  private ArrayStream(int length, int elementBytes) {
    this.length = length;
    this.elementBytes = elementBytes;
    int bytes = (int) Math.min(BUFFER_BYTES, (long) length * elementBytes);
    this.buffer = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN).limit(0);
  }

  static InputStream of(float[] array) {
    return new ArrayStream(array.length, Float.BYTES) {
      @Override
      void copy(ByteBuffer to, int from, int count) {
        to.asFloatBuffer().put(array, from, count);
      }
    };
  }

  static InputStream of(short[] array) {
    return new ArrayStream(array.length, Short.BYTES) {
      @Override
      void copy(ByteBuffer to, int from, int count) {
        to.asShortBuffer().put(array, from, count);
      }
    };
  }

  abstract void copy(ByteBuffer to, int from, int count);

  @Override
  public int read() {
    return fill() ? buffer.get() & 0xff : -1;
  }

  @Override
  public int read(byte[] bytes, int offset, int count) {
    if (count == 0) {
      return 0;
    }
    if (!fill()) {
      return -1;
    }
    int now = Math.min(count, buffer.remaining());
    buffer.get(bytes, offset, now);
    return now;
  }

  /** All that is left: Netty takes as much at a time, and without it single bytes. */
  @Override
  public int available() {
    long bytes = buffer.remaining() + (long) (length - next) * elementBytes;
    return (int) Math.min(bytes, Integer.MAX_VALUE);
  }

  /** Whether there is a byte to read. */
  private boolean fill() {
    if (!buffer.hasRemaining() && next < length) {
      int count = Math.min(buffer.capacity() / elementBytes, length - next);
      buffer.clear();
      copy(buffer, next, count);
      buffer.limit(count * elementBytes);
      next += count;
    }
    return buffer.hasRemaining();
  }
}

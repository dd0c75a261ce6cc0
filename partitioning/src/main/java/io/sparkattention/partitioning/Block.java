package io.sparkattention.partitioning;

import java.io.Serializable;

/**
 * Consecutive positions [start, end) of one sequence: at least one.
 *
 * @param sequence index of the sequence in the dataset, from 0
 * @param start first position, from 0
 * @param end one past the last position, at most {@link #MAX_POSITION}
 */
public record Block(int sequence, long start, long end) implements Serializable {

  /**
   * Upper bound of positions and of the absolute value of offsets: sums of a few of them, and of a
   * mask's window sizes, cannot overflow.
   */
  public static final long MAX_POSITION = 1L << 60;

  /**
   * @throws IllegalArgumentException if the sequence is negative, or unless {@code 0 <= start < end
   *     <= MAX_POSITION}
   */
  public Block {
    if (sequence < 0) {
      throw new IllegalArgumentException("Invalid sequence: " + sequence + " (expected >= 0)");
    }
    if (start < 0 || start >= end || end > MAX_POSITION) {
      throw new IllegalArgumentException(
          "Invalid block: ["
              + start
              + ", "
              + end
              + ") of sequence "
              + sequence
              + " (expected 0 <= start < end <= 2^60)");
    }
  }

  /**
   * The number of positions.
   *
   * @throws ArithmeticException if it exceeds an int, as a whole sequence's may
   */
  public int tokens() {
    return Math.toIntExact(end - start);
  }

  /** Blocks are keys of shuffles: the same on every JVM, which a record's own hash need not be. */
  @Override
  public int hashCode() {
    return 31 * Long.hashCode(start) + sequence;
  }
}

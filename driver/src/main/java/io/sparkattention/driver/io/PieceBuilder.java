package io.sparkattention.driver.io;

import io.sparkattention.partitioning.Block;
import java.util.Arrays;

/** Rows of one block that a reading task has gathered so far; grows with them. */
final class PieceBuilder {
  private static final int FIRST_ROWS = 4;

  private final int index;
  private final Block block;
  private final int[] widths;
  private int[] rows = new int[0];

  /** [columns][rows, width]. */
  private final float[][] columns;

  private int count;

  /**
   * @param index of the block
   * @param widths [columns]: floats of a row, of one or two columns
   */
  PieceBuilder(int index, Block block, int[] widths) {
    this.index = index;
    this.block = block;
    this.widths = widths;
    this.columns = new float[widths.length][0];
  }

  /** Takes over the memory of another, whose piece is nobody's any more. */
  void reuse(PieceBuilder other) {
    rows = other.rows;
    System.arraycopy(other.columns, 0, columns, 0, columns.length);
  }

  int index() {
    return index;
  }

  boolean holds(int sequence, long position) {
    return sequence == block.sequence() && position >= block.start() && position < block.end();
  }

  /** Whether there are as many rows as the block has, so that all are there or one is double. */
  boolean isFull() {
    return count == block.tokens();
  }

  int rows() {
    return count;
  }

  /** Makes room for the row at a position; its arrays are written to {@link #column}. */
  void add(long position) {
    if (count == rows.length) {
      grow();
    }
    rows[count++] = (int) (position - block.start());
  }

  private void grow() {
    int doubled = Math.max(FIRST_ROWS, 2 * count);
    int capacity = count < block.tokens() ? Math.min(doubled, block.tokens()) : doubled;
    rows = Arrays.copyOf(rows, capacity);
    for (int c = 0; c < columns.length; c++) {
      columns[c] = Arrays.copyOf(columns[c], Math.multiplyExact(capacity, widths[c]));
    }
  }

  /** Where the arrays of a column lie, that of the row added last at {@link #lastOffset}. */
  float[] column(int column) {
    return columns[column];
  }

  int lastOffset(int column) {
    return (count - 1) * widths[column];
  }

  /** The rows so far; shares the builder's memory where that is full. */
  BlockPiece build() {
    float[] second = columns.length > 1 ? trimmed(1) : new float[0];
    int[] trimmedRows = rows.length == count ? rows : Arrays.copyOf(rows, count);
    return new BlockPiece(index, trimmedRows, trimmed(0), second);
  }

  private float[] trimmed(int column) {
    int length = count * widths[column];
    return columns[column].length == length
        ? columns[column]
        : Arrays.copyOf(columns[column], length);
  }
}

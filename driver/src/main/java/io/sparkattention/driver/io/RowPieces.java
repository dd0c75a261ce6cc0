package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.unsafe.Platform;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * The pieces of blocks that a reading task gathers from its rows, each of which is an id (string),
 * a position (long) and one or two arrays of floats.
 */
final class RowPieces {
  private final BlockRouting routing;
  private final Map<String, Integer> sequenceIndex;
  private final String[] columns;
  private final int[] widths;
  private final Map<Integer, PieceBuilder> builders = new TreeMap<>();

  /** Of the last row: the next one is mostly of the same sequence and block. */
  private UTF8String id;

  private int sequence;
  private PieceBuilder builder;
  private long floats;

  /** Whose memory serves the next block; null where there is none. */
  private PieceBuilder spare;

  RowPieces(
      BlockRouting routing, Map<String, Integer> sequenceIndex, String[] columns, int[] widths) {
    this.routing = routing;
    this.sequenceIndex = sequenceIndex;
    this.columns = columns;
    this.widths = widths;
  }

  /** Floats that the pieces hold. */
  long floats() {
    return floats;
  }

  /** Puts a row into the piece of its block, which is returned. */
  PieceBuilder put(InternalRow row) {
    UTF8String rowId = row.getUTF8String(0);
    long position = row.getLong(1);
    if (!rowId.equals(id)) {
      // The row's memory serves the next one.
      id = rowId.clone();
      sequence = sequenceIndex.get(id.toString());
    }
    if (builder == null || !builder.holds(sequence, position)) {
      builder = builders.computeIfAbsent(routing.block(sequence, position), this::newBuilder);
    }
    builder.add(position);
    for (int c = 0; c < columns.length; c++) {
      copy(row, c, position);
    }
    return builder;
  }

  private PieceBuilder newBuilder(int block) {
    PieceBuilder fresh = new PieceBuilder(block, routing.positions(block), widths);
    if (spare != null) {
      fresh.reuse(spare);
      spare = null;
    }
    return fresh;
  }

  private void copy(InternalRow row, int c, long position) {
    ArrayData array = row.isNullAt(2 + c) ? null : row.getArray(2 + c);
    String wrong = wrong(array, widths[c]);
    if (wrong != null) {
      throw new InvalidInputException(
          "Invalid %s in sequence '%s', position %d: found %s, expected %d floats; correct the row"
              .formatted(columns[c], id, position, wrong, widths[c]));
    }
    copy(array, builder.column(c), builder.lastOffset(c));
    floats += widths[c];
  }

  private static void copy(ArrayData array, float[] to, int offset) {
    int width = array.numElements();
    if (array instanceof UnsafeArrayData unsafe) {
      Platform.copyMemory(
          unsafe.getBaseObject(),
          unsafe.getBaseOffset() + UnsafeArrayData.calculateHeaderPortionInBytes(width),
          to,
          Platform.FLOAT_ARRAY_OFFSET + (long) Float.BYTES * offset,
          (long) Float.BYTES * width);
    } else {
      System.arraycopy(array.toFloatArray(), 0, to, offset, width);
    }
  }

  private static String wrong(ArrayData array, int width) {
    if (array == null) {
      return "null";
    }
    if (array.numElements() != width) {
      return array.numElements() + " floats";
    }
    if (array instanceof UnsafeArrayData unsafe && hasNoNulls(unsafe)) {
      return null;
    }
    for (int i = 0; i < width; i++) {
      if (array.isNullAt(i)) {
        return "null at index " + i;
      }
    }
    return null;
  }

  /**
   * By the words of its null bits, behind the number of elements: one look for 64 elements, of
   * which a table has billions.
   */
  private static boolean hasNoNulls(UnsafeArrayData array) {
    int header = UnsafeArrayData.calculateHeaderPortionInBytes(array.numElements());
    long bits = 0;
    for (int at = Long.BYTES; at < header; at += Long.BYTES) {
      bits |= Platform.getLong(array.getBaseObject(), array.getBaseOffset() + at);
    }
    return bits == 0;
  }

  /** Ends one piece. */
  BlockPiece take(PieceBuilder piece) {
    builders.remove(piece.index());
    if (builder == piece) {
      builder = null;
    }
    floats -= (long) piece.rows() * IntStream.of(widths).sum();
    return piece.build();
  }

  /** Takes back what {@link #take} has returned and nobody needs any more. */
  void reuse(PieceBuilder piece) {
    spare = piece;
  }

  /** Ends all pieces, by block. */
  List<BlockPiece> takeAll() {
    List<BlockPiece> pieces = new ArrayList<>();
    builders.values().forEach(piece -> pieces.add(piece.build()));
    builders.clear();
    builder = null;
    floats = 0;
    return pieces;
  }
}

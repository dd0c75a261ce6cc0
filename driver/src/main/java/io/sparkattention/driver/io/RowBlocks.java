package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.InvalidElementException;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.IntFunction;
import java.util.function.Supplier;
import org.apache.spark.HashPartitioner;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import scala.Tuple2;

/**
 * Rows of a table to packed blocks: gathered to pieces where they are read, packed by the owner.
 */
final class RowBlocks implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Floats that a reading task gathers before it hands its pieces to the shuffle. */
  private static final int GATHERED_FLOATS = 8 << 20;

  private final String path;
  private final HeadLayout layout;
  private final BlockRouting routing;
  private final String[] sequenceIds;

  /**
   * @param path of the table, for messages
   */
  RowBlocks(String path, HeadLayout layout, BlockRouting routing, String[] sequenceIds) {
    this.path = path;
    this.layout = layout;
    this.routing = routing;
    this.sequenceIds = sequenceIds;
  }

  /**
   * Sends rows to the partitions of their blocks.
   *
   * @param rows id (string), position (long), then one or two columns of float arrays
   */
  JavaPairRDD<Integer, BlockPiece> shuffle(
      Dataset<Row> rows, Broadcast<HashMap<String, Integer>> sequenceIndex, int partitions) {
    String[] columns = Arrays.copyOfRange(rows.columns(), 2, rows.columns().length);
    int[] widths = Arrays.stream(columns).mapToInt(this::width).toArray();
    return rows.queryExecution()
        .toRdd()
        .toJavaRDD()
        .mapPartitionsToPair(
            partition -> new Gathering(readable(partition), sequenceIndex.value(), columns, widths))
        // The hash of a small integer is itself: partition p receives the blocks of p.
        .partitionBy(new HashPartitioner(partitions));
  }

  /** The same rows; where their file is damaged, the error says so. */
  private Iterator<InternalRow> readable(Iterator<InternalRow> rows) {
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return explained(rows::hasNext);
      }

      @Override
      public InternalRow next() {
        return explained(rows::next);
      }
    };
  }

  private <T> T explained(Supplier<T> read) {
    try {
      return read.get();
    } catch (Exception e) {
      // Not RuntimeException: Scala throws checked ones that the compiler does not expect.
      Optional<InvalidInputException> wrong = UnreadableParquet.explain(path, e);
      if (wrong.isPresent()) {
        throw wrong.get();
      }
      throw e;
    }
  }

  private int width(String column) {
    return switch (column) {
      case "query" -> layout.numHeads() * layout.keyDim();
      case "key" -> layout.numKeyValueHeads() * layout.keyDim();
      case "value" -> layout.numKeyValueHeads() * layout.valueDim();
      default -> throw new IllegalArgumentException("Unknown column: " + column);
    };
  }

  Iterator<PlacedQueries> queries(Iterator<Tuple2<Integer, BlockPiece>> pieces, double scale) {
    Map<Integer, QueryBlock.Packer> packers =
        pack(
            pieces,
            tokens -> new QueryBlock.Packer(layout, tokens, scale),
            (packer, row, piece, i) -> {
              for (int head = 0; head < layout.numHeads(); head++) {
                int heads = layout.numHeads();
                packer.put(head, row, piece.first(), (i * heads + head) * layout.keyDim());
              }
            });
    return packers.entrySet().stream()
        .map(e -> new PlacedQueries(routing.positions(e.getKey()), e.getValue().pack()))
        .iterator();
  }

  Iterator<PlacedKeyValues> keyValues(
      Iterator<Tuple2<Integer, BlockPiece>> pieces, ElementType type) {
    // The executor reads and packs for longer than the kernel takes to compile.
    AttentionKernels.startWarmUp();
    Map<Integer, KeyValueBlock.Packer> packers =
        pack(
            pieces,
            tokens -> new KeyValueBlock.Packer(layout, tokens, type),
            (packer, row, piece, i) -> {
              for (int head = 0; head < layout.numKeyValueHeads(); head++) {
                int at = i * layout.numKeyValueHeads() + head;
                packer.putKey(head, row, piece.first(), at * layout.keyDim());
                packer.putValue(head, row, piece.second(), at * layout.valueDim());
              }
            });
    return packers.entrySet().stream()
        .map(e -> new PlacedKeyValues(routing.positions(e.getKey()), e.getValue().pack()))
        .iterator();
  }

  /** Puts row i of a piece into its row of the block. */
  @FunctionalInterface
  private interface RowPut<P> {
    void put(P packer, int row, BlockPiece piece, int i);
  }

  private <P> Map<Integer, P> pack(
      Iterator<Tuple2<Integer, BlockPiece>> pieces, IntFunction<P> newPacker, RowPut<P> put) {
    Map<Integer, P> packers = new TreeMap<>();
    Map<Integer, BitSet> seen = new HashMap<>();
    while (pieces.hasNext()) {
      BlockPiece piece = pieces.next()._2();
      Block block = routing.positions(piece.block());
      P packer = packers.computeIfAbsent(piece.block(), b -> newPacker.apply(block.tokens()));
      BitSet rows = seen.computeIfAbsent(piece.block(), b -> new BitSet());
      try {
        for (int i = 0; i < piece.rows().length; i++) {
          requireFirst(rows, piece.rows()[i], block);
          put.put(packer, piece.rows()[i], piece, i);
        }
      } catch (InvalidElementException e) {
        throw InvalidInputException.of(e, sequenceIds[block.sequence()], block.start());
      }
    }
    return packers;
  }

  /** There are as many rows as positions, so that none is missing where none is double. */
  private void requireFirst(BitSet rows, int row, Block block) {
    if (rows.get(row)) {
      throw new InvalidInputException(
          "Invalid positions of sequence '%s' in '%s': found %d twice, expected each position once; number its rows without gaps"
              .formatted(sequenceIds[block.sequence()], path, block.start() + row));
    }
    rows.set(row);
  }

  /** Turns the rows of a partition into pieces, a batch of rows at a time. */
  private final class Gathering implements Iterator<Tuple2<Integer, BlockPiece>> {
    private final Iterator<InternalRow> rows;
    private final Map<String, Integer> sequenceIndex;
    private final String[] columns;
    private final int[] widths;
    private Iterator<Tuple2<Integer, BlockPiece>> ready =
        List.<Tuple2<Integer, BlockPiece>>of().iterator();

    Gathering(
        Iterator<InternalRow> rows,
        Map<String, Integer> sequenceIndex,
        String[] columns,
        int[] widths) {
      this.rows = rows;
      this.sequenceIndex = sequenceIndex;
      this.columns = columns;
      this.widths = widths;
    }

    @Override
    public boolean hasNext() {
      if (!ready.hasNext() && rows.hasNext()) {
        ready = gather();
      }
      return ready.hasNext();
    }

    @Override
    public Tuple2<Integer, BlockPiece> next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      return ready.next();
    }

    private Iterator<Tuple2<Integer, BlockPiece>> gather() {
      Map<Integer, PieceBuilder> builders = new TreeMap<>();
      int rowFloats = Arrays.stream(widths).sum();
      for (long floats = 0; rows.hasNext() && floats < GATHERED_FLOATS; floats += rowFloats) {
        InternalRow row = rows.next();
        String id = row.getUTF8String(0).toString();
        long position = row.getLong(1);
        int block = routing.block(sequenceIndex.get(id), position);
        PieceBuilder builder = builders.computeIfAbsent(block, b -> new PieceBuilder(widths));
        builder.rows.add((int) (position - routing.positions(block).start()));
        for (int c = 0; c < columns.length; c++) {
          builder.columns.get(c).add(floats(row, c, id, position));
        }
      }
      List<Tuple2<Integer, BlockPiece>> pieces = new ArrayList<>();
      builders.forEach(
          (block, b) -> pieces.add(new Tuple2<>(routing.partition(block), b.build(block))));
      return pieces.iterator();
    }

    private float[] floats(InternalRow row, int c, String id, long position) {
      ArrayData array = row.isNullAt(2 + c) ? null : row.getArray(2 + c);
      String wrong = wrong(array, widths[c]);
      if (wrong != null) {
        throw new InvalidInputException(
            "Invalid %s in sequence '%s', position %d: found %s, expected %d floats; correct the row"
                .formatted(columns[c], id, position, wrong, widths[c]));
      }
      return array.toFloatArray();
    }

    private String wrong(ArrayData array, int width) {
      if (array == null) {
        return "null";
      }
      if (array.numElements() != width) {
        return array.numElements() + " floats";
      }
      for (int i = 0; i < width; i++) {
        if (array.isNullAt(i)) {
          return "null at index " + i;
        }
      }
      return null;
    }
  }

  /** The rows of one block that a reading task has gathered. */
  private static final class PieceBuilder {
    final List<Integer> rows = new ArrayList<>();
    final List<List<float[]>> columns = new ArrayList<>();
    final int[] widths;

    PieceBuilder(int[] widths) {
      this.widths = widths;
      for (int i = 0; i < widths.length; i++) {
        columns.add(new ArrayList<>());
      }
    }

    BlockPiece build(int block) {
      float[] second = columns.size() > 1 ? join(1) : new float[0];
      return new BlockPiece(
          block, rows.stream().mapToInt(Integer::intValue).toArray(), join(0), second);
    }

    private float[] join(int column) {
      float[] joined = new float[rows.size() * widths[column]];
      for (int i = 0; i < rows.size(); i++) {
        System.arraycopy(columns.get(column).get(i), 0, joined, i * widths[column], widths[column]);
      }
      return joined;
    }
  }
}

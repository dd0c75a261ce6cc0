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
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collections;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.IntFunction;
import java.util.function.Supplier;
import org.apache.spark.HashPartitioner;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import scala.Tuple2;

/**
 * Rows of a table to packed blocks: gathered to pieces where they are read, packed by the owner.
 */
final class RowBlocks implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Floats that a reading task gathers before it hands its pieces to the shuffle. */
  static final int GATHERED_FLOATS = 8 << 20;

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
  JavaRDD<BlockPiece> shuffle(
      Dataset<Row> rows, Broadcast<HashMap<String, Integer>> sequenceIndex, int partitions) {
    String[] columns = columns(rows);
    return rows.queryExecution()
        .toRdd()
        .toJavaRDD()
        .mapPartitionsToPair(
            partition -> new Gathering(readable(partition), pieces(columns, sequenceIndex.value())))
        // The hash of a small integer is itself: partition p receives the blocks of p.
        .partitionBy(new HashPartitioner(partitions))
        .values();
  }

  /** Floats of the keys and values of a whole block. */
  long blockFloats() {
    return (long) routing.blockTokens() * (width("key") + width("value"));
  }

  /** Columns of arrays. */
  static String[] columns(Dataset<Row> rows) {
    return Arrays.copyOfRange(rows.columns(), 2, rows.columns().length);
  }

  /** What a task gathers from such rows. */
  RowPieces pieces(String[] columns, Map<String, Integer> sequenceIndex) {
    int[] widths = Arrays.stream(columns).mapToInt(this::width).toArray();
    return new RowPieces(routing, sequenceIndex, columns, widths);
  }

  /** The same rows; where their file is damaged, the error says so. */
  Iterator<InternalRow> readable(Iterator<InternalRow> rows) {
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

  Iterator<PlacedQueries> queries(Iterator<BlockPiece> pieces, double scale) {
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

  Iterator<PlacedKeyValues> keyValues(Iterator<BlockPiece> pieces, ElementType type) {
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
      Iterator<BlockPiece> pieces, IntFunction<P> newPacker, RowPut<P> put) {
    Map<Integer, P> packers = new TreeMap<>();
    Map<Integer, BitSet> seen = new HashMap<>();
    while (pieces.hasNext()) {
      BlockPiece piece = pieces.next();
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
    seen.forEach((block, rows) -> requireAll(rows, routing.positions(block)));
    return packers;
  }

  private void requireFirst(BitSet rows, int row, Block block) {
    if (rows.get(row)) {
      throw wrongPosition("found %d twice", block, row);
    }
    rows.set(row);
  }

  /**
   * There were as many rows as positions when they were counted: where one is missing, another is
   * double, or the files have changed.
   */
  private void requireAll(BitSet rows, Block block) {
    int missing = rows.nextClearBit(0);
    if (missing < block.tokens()) {
      throw wrongPosition("found none at %d", block, missing);
    }
  }

  private InvalidInputException wrongPosition(String found, Block block, int row) {
    return new InvalidInputException(
        "Invalid positions of sequence '%s' in '%s': %s, expected each position once; number its rows without gaps"
            .formatted(sequenceIds[block.sequence()], path, found.formatted(block.start() + row)));
  }

  /** What to say of a row of a block that another task has had whole. */
  InvalidInputException twice(BlockPiece piece) {
    int row = piece.rows().length == 0 ? 0 : piece.rows()[0];
    return wrongPosition("found %d twice", routing.positions(piece.block()), row);
  }

  /** Turns the rows of a partition into pieces, a batch of rows at a time. */
  private final class Gathering implements Iterator<Tuple2<Integer, BlockPiece>> {
    private final Iterator<InternalRow> rows;
    private final RowPieces pieces;
    private Iterator<BlockPiece> ready = Collections.emptyIterator();

    Gathering(Iterator<InternalRow> rows, RowPieces pieces) {
      this.rows = rows;
      this.pieces = pieces;
    }

    @Override
    public boolean hasNext() {
      if (!ready.hasNext() && rows.hasNext()) {
        while (rows.hasNext() && pieces.floats() < GATHERED_FLOATS) {
          pieces.put(rows.next());
        }
        ready = pieces.takeAll().iterator();
      }
      return ready.hasNext();
    }

    @Override
    public Tuple2<Integer, BlockPiece> next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      BlockPiece piece = ready.next();
      return new Tuple2<>(routing.partition(piece.block()), piece);
    }
  }
}

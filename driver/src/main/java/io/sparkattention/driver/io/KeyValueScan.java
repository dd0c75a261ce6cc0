package io.sparkattention.driver.io;

import io.sparkattention.driver.exchange.KeyValueFold;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.util.ArrayDeque;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.NoSuchElementException;
import org.apache.spark.Partitioner;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.function.Function0;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import scala.Tuple2;

/**
 * Keys and values of a table, folded where they are read. A task that meets all rows of a block
 * folds it at once and forgets it; where rows lie in the order of their positions, these are all
 * blocks but those that a file or a task cuts. The rows of the others go through a shuffle to the
 * task that puts the block together, as do the states, and a note of each block that was folded, so
 * that none is folded twice.
 */
final class KeyValueScan implements Serializable {
  private static final long serialVersionUID = 1L;

  private final RowBlocks blocks;
  private final ElementType type;
  private final Function0<KeyValueFold> newFold;

  /**
   * @param newFold makes the fold of a task
   */
  KeyValueScan(RowBlocks blocks, ElementType type, Function0<KeyValueFold> newFold) {
    this.blocks = blocks;
    this.type = type;
    this.newFold = newFold;
  }

  /**
   * The states of all folds.
   *
   * @param rows id (string), position (long), key and value
   * @param partitions tasks that put the rest together
   */
  JavaPairRDD<Block, AttentionState> states(
      Dataset<Row> rows, Broadcast<HashMap<String, Integer>> sequenceIndex, int partitions) {
    String[] columns = RowBlocks.columns(rows);
    return rows.queryExecution()
        .toRdd()
        .toJavaRDD()
        .mapPartitionsToPair(
            partition ->
                new Scan(
                    blocks.readable(partition),
                    blocks.pieces(columns, sequenceIndex.value()),
                    newFold.call()))
        .repartitionAndSortWithinPartitions(new PlacePartitioner(partitions))
        .mapPartitionsToPair(rest -> new Rest(rest, newFold.call()));
  }

  /**
   * Where what a scan leaves has to go: below 0 for a state, 2 · block for the note that it was
   * folded, and one more for its rows, so that the note comes first.
   */
  private static long place(int block, boolean folded) {
    return 2L * block + (folded ? 0 : 1);
  }

  /** Reads rows, folds whole blocks, and leaves the rest and, last, its states. */
  private final class Scan implements Iterator<Tuple2<Long, Object>> {
    private final Iterator<InternalRow> rows;
    private final RowPieces pieces;
    private final KeyValueFold fold;
    private final Deque<Tuple2<Long, Object>> ready = new ArrayDeque<>();

    /** A block that was cut and the one that is being read always fit, however wide rows are. */
    private final long maxFloats = Math.max(RowBlocks.GATHERED_FLOATS, 2 * blocks.blockFloats());

    private boolean ended;

    Scan(Iterator<InternalRow> rows, RowPieces pieces, KeyValueFold fold) {
      this.rows = rows;
      this.pieces = pieces;
      this.fold = fold;
    }

    @Override
    public boolean hasNext() {
      while (ready.isEmpty() && !ended) {
        if (rows.hasNext()) {
          take(rows.next());
        } else {
          end();
        }
      }
      return !ready.isEmpty();
    }

    @Override
    public Tuple2<Long, Object> next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      return ready.remove();
    }

    private void take(InternalRow row) {
      PieceBuilder builder = pieces.put(row);
      if (builder.isFull()) {
        BlockPiece whole = pieces.take(builder);
        foldBlock(fold, Collections.singleton(whole).iterator());
        pieces.reuse(builder);
        BlockPiece note = new BlockPiece(whole.block(), new int[0], new float[0], new float[0]);
        ready.add(new Tuple2<>(place(whole.block(), true), note));
      } else if (pieces.floats() >= maxFloats) {
        leavePieces();
      }
    }

    private void leavePieces() {
      for (BlockPiece piece : pieces.takeAll()) {
        ready.add(new Tuple2<>(place(piece.block(), false), piece));
      }
    }

    private void end() {
      leavePieces();
      long place = -1L - TaskContext.getPartitionId();
      fold.states().forEachRemaining(state -> ready.add(new Tuple2<>(place, state)));
      ended = true;
    }
  }

  private void foldBlock(KeyValueFold fold, Iterator<BlockPiece> pieces) {
    blocks.keyValues(pieces, type).forEachRemaining(fold::fold);
  }

  /** Passes the states of scans on, puts blocks together and adds their states. */
  private final class Rest implements Iterator<Tuple2<Block, AttentionState>> {
    private final Iterator<Tuple2<Long, Object>> sorted;
    private final KeyValueFold fold;

    /** Of {@link #sorted}; null at its end. */
    private Tuple2<Long, Object> head;

    /** States of what was put together here; null before. */
    private Iterator<Tuple2<Block, AttentionState>> own;

    Rest(Iterator<Tuple2<Long, Object>> sorted, KeyValueFold fold) {
      this.sorted = sorted;
      this.fold = fold;
      advance();
    }

    private Object advance() {
      Object value = head == null ? null : head._2();
      head = sorted.hasNext() ? sorted.next() : null;
      return value;
    }

    @Override
    public boolean hasNext() {
      if (head != null && head._1() < 0) {
        return true;
      }
      if (own == null) {
        while (head != null) {
          foldRest();
        }
        own = fold.states();
      }
      return own.hasNext();
    }

    @Override
    @SuppressWarnings("unchecked") // what a scan left below 0
    public Tuple2<Block, AttentionState> next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      return own == null ? (Tuple2<Block, AttentionState>) advance() : own.next();
    }

    /** The next block: folded by a scan, then nothing may be left of it, or put together here. */
    private void foldRest() {
      BlockPiece first = (BlockPiece) head._2();
      boolean folded = head._1() == place(first.block(), true);
      if (!folded) {
        foldBlock(fold, piecesOf(first.block()));
        return;
      }
      advance();
      if (isOf(first.block())) {
        throw blocks.twice((BlockPiece) head._2());
      }
    }

    private boolean isOf(int block) {
      return head != null && ((BlockPiece) head._2()).block() == block;
    }

    private Iterator<BlockPiece> piecesOf(int block) {
      return new Iterator<>() {
        @Override
        public boolean hasNext() {
          return isOf(block);
        }

        @Override
        public BlockPiece next() {
          if (!hasNext()) {
            throw new NoSuchElementException();
          }
          return (BlockPiece) advance();
        }
      };
    }
  }

  /** All that concerns a block meets in one partition. */
  private static final class PlacePartitioner extends Partitioner {
    private static final long serialVersionUID = 1L;

    private final int partitions;

    PlacePartitioner(int partitions) {
      this.partitions = partitions;
    }

    @Override
    public int numPartitions() {
      return partitions;
    }

    @Override
    public int getPartition(Object place) {
      return (int) Math.floorMod((Long) place >> 1, (long) partitions);
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof PlacePartitioner p && p.partitions == partitions;
    }

    @Override
    public int hashCode() {
      return partitions;
    }
  }
}

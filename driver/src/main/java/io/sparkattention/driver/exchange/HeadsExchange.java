package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.HeadSlice;
import io.sparkattention.partitioning.BlockGrid;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.HashPartitioner;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import scala.Tuple2;

/**
 * Queries, keys and values go to the owners of their heads, once, and finished rows back (the
 * all-to-all of DeepSpeed Ulysses, Jacobs et al. 2023, arXiv:2309.14509). A key/value head and the
 * query heads that read it stay together, so that it moves to one owner. In between a task has some
 * heads of all tokens, block by block: it reads their keys and values run by run from the shuffle,
 * as a rank of the ring reads its shards.
 */
public final class HeadsExchange implements Exchange {
  @Override
  public JavaRDD<AttentionRows> attend(
      AttentionPlan plan,
      JavaRDD<PlacedQueries> queries,
      JavaRDD<PlacedKeyValues> keyValues,
      AttentionMeter meter) {
    JavaRDD<AttentionRows> ofHeads =
        new RingAttentionRdd(
                AttentionTask.of(plan),
                queriesOfHeads(plan, queries, meter).rdd(),
                keyValuesOfHeads(plan, keyValues, meter).rdd(),
                PairFold.of(plan, keyValues),
                meter,
                null)
            .toJavaRDD();
    HeadLayout layout = plan.layout();
    return toQueryBlocks(plan, ofHeads).mapPartitions(parts -> join(parts, layout, meter));
  }

  /** Partition turn · slices + s holds slice s of the query blocks of a turn. */
  private static JavaRDD<PlacedQueries> queriesOfHeads(
      AttentionPlan plan, JavaRDD<PlacedQueries> queries, AttentionMeter meter) {
    List<HeadSlice> slices = new ArrayList<>(plan.placement().headSlices());
    int shards = plan.shards();
    JavaRDD<Tuple2<Integer, PlacedQueries>> sliced =
        queries.mapPartitionsWithIndex(
            (partition, blocks) -> {
              meter.add(System.currentTimeMillis(), 0, 0, TimeSplit.NONE);
              int first = partition / shards * slices.size();
              return new Slicing<>(
                  blocks,
                  slices.size(),
                  (block, s) ->
                      new Tuple2<>(
                          first + s,
                          new PlacedQueries(block.block(), block.queries().heads(slices.get(s)))));
            },
            false);
    return shuffled(sliced, plan.placement().tasks()).values();
  }

  /** Partition s · runs + i holds slice s of run i. */
  private static JavaRDD<PlacedKeyValues> keyValuesOfHeads(
      AttentionPlan plan, JavaRDD<PlacedKeyValues> keyValues, AttentionMeter meter) {
    List<HeadSlice> slices = new ArrayList<>(plan.placement().headSlices());
    int runs = plan.keyRuns().size();
    JavaRDD<Tuple2<Integer, PlacedKeyValues>> sliced =
        keyValues.mapPartitionsWithIndex(
            (run, blocks) -> {
              meter.add(System.currentTimeMillis(), 0, 0, TimeSplit.NONE);
              return new Slicing<>(
                  blocks,
                  slices.size(),
                  (block, s) ->
                      new Tuple2<>(
                          s * runs + run,
                          new PlacedKeyValues(
                              block.block(), block.keyValues().heads(slices.get(s)))));
            },
            false);
    return shuffled(sliced, Math.multiplyExact(slices.size(), runs)).values();
  }

  /** The hash of a small integer is itself: partition p receives what has the key p. */
  private static <T> JavaPairRDD<Integer, T> shuffled(
      JavaRDD<Tuple2<Integer, T>> keyed, int partitions) {
    return JavaPairRDD.fromJavaRDD(keyed).partitionBy(new HashPartitioner(partitions));
  }

  /** Each partition receives all heads of its query blocks, of one turn. */
  private static JavaRDD<HeadRows> toQueryBlocks(AttentionPlan plan, JavaRDD<AttentionRows> rows) {
    List<HeadSlice> slices = new ArrayList<>(plan.placement().headSlices());
    BlockGrid grid = plan.grid();
    int shards = plan.shards();
    JavaRDD<Tuple2<Integer, HeadRows>> keyed =
        rows.mapPartitionsWithIndex(
            (task, blocks) -> {
              int turn = task / slices.size();
              int firstHead = slices.get(task % slices.size()).firstHead();
              return new Slicing<>(
                  blocks,
                  1,
                  (block, s) -> {
                    long index = grid.index(block.block().start()) + block.block().sequence();
                    int home = turn * shards + (int) (index % shards);
                    return new Tuple2<>(home, new HeadRows(firstHead, block));
                  });
            },
            false);
    return shuffled(keyed, plan.queryPartitionCount()).values();
  }

  private static Iterator<AttentionRows> join(
      Iterator<HeadRows> parts, HeadLayout layout, AttentionMeter meter) {
    long start = System.currentTimeMillis();
    List<AttentionRows> rows = HeadRows.join(parts, layout);
    meter.add(
        start,
        TaskContext.get().taskMetrics().shuffleReadMetrics().remoteBytesRead(),
        0,
        TimeSplit.NONE);
    return rows.iterator();
  }

  /** One part of a block. */
  @FunctionalInterface
  private interface Slice<T, R> {
    R of(T block, int index);
  }

  /** The parts of each block, one in memory at a time. */
  private static final class Slicing<T, R> implements Iterator<R> {
    private final Iterator<T> blocks;
    private final int parts;
    private final Slice<T, R> slice;
    private T block;
    private int next;

    Slicing(Iterator<T> blocks, int parts, Slice<T, R> slice) {
      this.blocks = blocks;
      this.parts = parts;
      this.slice = slice;
    }

    @Override
    public boolean hasNext() {
      return next > 0 || blocks.hasNext();
    }

    @Override
    public R next() {
      if (next == 0) {
        block = blocks.next();
      }
      R part = slice.of(block, next);
      next = (next + 1) % parts;
      return part;
    }
  }
}

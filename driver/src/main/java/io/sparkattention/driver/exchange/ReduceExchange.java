package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.partitioning.Block;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.executor.ShuffleReadMetrics;
import scala.Option;
import scala.Tuple2;

/**
 * The queries go to the key/value shards: the task of a shard folds its keys into a state of each
 * query block, and the states of a block meet in a shuffle, never on Spark's driver. For few
 * queries and many keys: a task holds the states of all queries.
 */
public final class ReduceExchange implements Exchange {
  /** All queries on every executor, until the rows are written; null before. */
  private Broadcast<PlacedQueries[]> everywhere;

  @Override
  public JavaRDD<AttentionRows> attend(
      AttentionPlan plan,
      JavaRDD<PlacedQueries> queries,
      JavaRDD<PlacedKeyValues> keyValues,
      AttentionMeter meter) {
    JavaSparkContext context = JavaSparkContext.fromSparkContext(queries.context());
    PlacedQueries[] collected = queries.collect().toArray(PlacedQueries[]::new);
    Broadcast<PlacedQueries[]> broadcast = context.broadcast(collected);
    everywhere = broadcast;
    meter.add(broadcastReading(context, collected));
    PairFold fold = PairFold.of(plan, keyValues);
    return shards(plan, keyValues)
        .mapPartitionsToPair(shard -> states(fold, broadcast.value(), shard, meter))
        .reduceByKey((into, other) -> merge(into, other, meter), plan.shards())
        .mapPartitions(states -> finish(fold, states, meter));
  }

  @Override
  public void close() {
    if (everywhere != null) {
      everywhere.destroy();
    }
  }

  /** Partition p holds the runs of shard p. */
  private static JavaRDD<PlacedKeyValues> shards(
      AttentionPlan plan, JavaRDD<PlacedKeyValues> keyValues) {
    return keyValues
        .rdd()
        .coalesce(plan.shards(), false, Option.apply(new ShardCoalescer(plan.runShards())), null)
        .toJavaRDD();
  }

  /** The queries reach each executor once; a local master has no other executor. */
  private static AttentionMeter.Reading broadcastReading(
      JavaSparkContext context, PlacedQueries[] queries) {
    long bytes = 0;
    for (PlacedQueries q : queries) {
      bytes += (long) Float.BYTES * q.queries().strips().length;
    }
    int others = context.sc().getExecutorMemoryStatus().size() - 1;
    return AttentionMeter.Reading.withoutSpan(bytes * others, TimeSplit.NONE);
  }

  private static Iterator<Tuple2<Block, AttentionState>> states(
      PairFold fold,
      PlacedQueries[] queries,
      Iterator<PlacedKeyValues> shard,
      AttentionMeter meter) {
    long start = System.currentTimeMillis();
    HeapPeak.watch();
    QueryStates states = new QueryStates(fold, TaskContext.get());
    for (PlacedQueries q : queries) {
      states.add(q);
    }
    long fetchNanos = foldAll(shard, states);
    if (TaskContext.getPartitionId() == 0) {
      states.addUnseen();
    }
    // Nothing is computed meanwhile: what is fetched is waited for.
    TimeSplit transfer = new TimeSplit(0, fetchNanos, fetchNanos, 0);
    meter.add(start, 0, fold.countedPairs(), fold.times().plus(transfer));
    List<Tuple2<Block, AttentionState>> result = new ArrayList<>();
    states.states().forEach((block, state) -> result.add(new Tuple2<>(block, state)));
    return result.iterator();
  }

  /** Returns the nanoseconds that reading the shard took. */
  private static long foldAll(Iterator<PlacedKeyValues> shard, QueryStates states) {
    long fetchNanos = 0;
    for (long start = System.nanoTime(); shard.hasNext(); start = System.nanoTime()) {
      PlacedKeyValues keys = shard.next();
      fetchNanos += System.nanoTime() - start;
      states.fold(keys);
    }
    return fetchNanos;
  }

  private static AttentionState merge(
      AttentionState into, AttentionState other, AttentionMeter meter) {
    long start = System.nanoTime();
    into.merge(other);
    TimeSplit times = new TimeSplit(0, 0, 0, System.nanoTime() - start);
    meter.add(AttentionMeter.Reading.withoutSpan(0, times));
    return into;
  }

  private static Iterator<AttentionRows> finish(
      PairFold fold, Iterator<Tuple2<Block, AttentionState>> states, AttentionMeter meter) {
    long start = System.currentTimeMillis();
    List<AttentionRows> rows = new ArrayList<>();
    while (states.hasNext()) {
      Tuple2<Block, AttentionState> state = states.next();
      rows.add(fold.finish(state._1(), state._2()));
    }
    ShuffleReadMetrics read = TaskContext.get().taskMetrics().shuffleReadMetrics();
    long fetchNanos = TimeUnit.MILLISECONDS.toNanos(read.fetchWaitTime());
    TimeSplit transfer = new TimeSplit(0, fetchNanos, fetchNanos, 0);
    meter.add(start, read.remoteBytesRead(), 0, fold.times().plus(transfer));
    return rows.iterator();
  }
}

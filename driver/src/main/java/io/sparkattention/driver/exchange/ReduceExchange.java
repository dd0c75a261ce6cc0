package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.partitioning.Block;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
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
    return ShardCoalescer.shards(plan, keyValues)
        .mapPartitionsToPair(shard -> states(fold, broadcast.value(), shard, meter))
        .reduceByKey(ReduceExchange::merge, plan.shards())
        .mapPartitions(states -> finish(fold, states, meter));
  }

  @Override
  public void close() {
    if (everywhere != null) {
      everywhere.destroy();
    }
  }

  /** The queries reach each executor once; a local master has no other executor. */
  private static AttentionMeter.Reading broadcastReading(
      JavaSparkContext context, PlacedQueries[] queries) {
    long bytes = 0;
    for (PlacedQueries q : queries) {
      bytes += (long) Float.BYTES * q.queries().strips().length;
    }
    int others = context.sc().getExecutorMemoryStatus().size() - 1;
    return new AttentionMeter.Reading(Long.MAX_VALUE, Long.MIN_VALUE, bytes * others, 0, 0);
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
    shard.forEachRemaining(states::fold);
    if (TaskContext.getPartitionId() == 0) {
      states.addUnseen();
    }
    meter.add(start, 0, fold.countedPairs());
    List<Tuple2<Block, AttentionState>> result = new ArrayList<>();
    states.states().forEach((block, state) -> result.add(new Tuple2<>(block, state)));
    return result.iterator();
  }

  private static AttentionState merge(AttentionState into, AttentionState other) {
    into.merge(other);
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
    meter.add(start, TaskContext.get().taskMetrics().shuffleReadMetrics().remoteBytesRead(), 0);
    return rows.iterator();
  }
}

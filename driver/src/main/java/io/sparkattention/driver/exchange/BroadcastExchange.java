package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.broadcast.Broadcast;
import scala.reflect.ClassTag$;

/**
 * All keys and values go to every executor, once, by Spark's TorrentBroadcast, which takes pieces
 * from whoever has them: for small keys and values, and as the baseline of experiments. Ranks own
 * queries and visit runs as in the ring; each run is a broadcast variable of its own, so that
 * Spark's driver has one in memory at a time, and an executor fetches what its ranks see.
 */
public final class BroadcastExchange implements Exchange {
  /** Until the rows are written. */
  private final List<Broadcast<?>> released = new ArrayList<>();

  @Override
  public JavaRDD<AttentionRows> attend(
      AttentionPlan plan,
      JavaRDD<PlacedQueries> queries,
      JavaRDD<PlacedKeyValues> keyValues,
      AttentionMeter meter) {
    AttentionTask[] tasks = AttentionTask.of(plan).toArray(AttentionTask[]::new);
    TreeMap<Integer, Broadcast<PlacedKeyValues[]>> runs = new TreeMap<>();
    Stream.of(tasks)
        .flatMapToInt(task -> IntStream.of(task.visits()))
        .distinct()
        .sorted()
        .forEach(run -> runs.put(run, broadcast(keyValues, run)));
    PairFold fold = PairFold.of(plan, keyValues);
    return queries.mapPartitionsWithIndex(
        (task, own) -> attend(tasks[task], runs, fold, own, meter), true);
  }

  private Broadcast<PlacedKeyValues[]> broadcast(JavaRDD<PlacedKeyValues> keyValues, int run) {
    PlacedKeyValues[] blocks =
        keyValues.collectPartitions(new int[] {run})[0].toArray(PlacedKeyValues[]::new);
    // Serialized only: the driver itself never asks for the value, which it would keep as well.
    Broadcast<PlacedKeyValues[]> everywhere =
        keyValues
            .context()
            .broadcastInternal(blocks, true, ClassTag$.MODULE$.apply(PlacedKeyValues[].class));
    released.add(everywhere);
    return everywhere;
  }

  private static Iterator<AttentionRows> attend(
      AttentionTask task,
      TreeMap<Integer, Broadcast<PlacedKeyValues[]>> runs,
      PairFold fold,
      Iterator<PlacedQueries> own,
      AttentionMeter meter) {
    long start = System.currentTimeMillis();
    List<PlacedQueries> queries = new ArrayList<>();
    own.forEachRemaining(queries::add);
    AttentionTask.Result result =
        task.attend(
            fold,
            queries,
            visit -> List.of(runs.get(task.visits()[visit]).value()),
            TaskContext.get());
    meter.add(start, 0, result.countedPairs(), result.times());
    return result.rows().iterator();
  }

  @Override
  public long broadcastBytes() {
    return BroadcastBytes.received(released);
  }

  @Override
  public void close() {
    released.forEach(Broadcast::destroy);
  }
}

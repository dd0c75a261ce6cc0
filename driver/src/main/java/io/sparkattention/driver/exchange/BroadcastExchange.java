package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.IntStream;
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
    RankAttention[] ranks =
        IntStream.range(0, plan.shards())
            .mapToObj(rank -> RankAttention.of(plan, rank))
            .toArray(RankAttention[]::new);
    TreeMap<Integer, Broadcast<PlacedKeyValues[]>> runs = new TreeMap<>();
    IntStream.range(0, plan.shards())
        .flatMap(rank -> IntStream.of(plan.schedule().runs(rank)))
        .distinct()
        .sorted()
        .forEach(run -> runs.put(run, broadcast(keyValues, run)));
    PairFold fold = PairFold.of(plan, keyValues);
    return queries.mapPartitionsWithIndex(
        (rank, own) -> attend(ranks[rank], runs, fold, own, meter), true);
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
      RankAttention rank,
      TreeMap<Integer, Broadcast<PlacedKeyValues[]>> runs,
      PairFold fold,
      Iterator<PlacedQueries> own,
      AttentionMeter meter) {
    long start = System.currentTimeMillis();
    List<PlacedQueries> queries = new ArrayList<>();
    own.forEachRemaining(queries::add);
    List<AttentionRows> rows =
        rank.of(
            fold, queries, visit -> List.of(runs.get(rank.run(visit)).value()), TaskContext.get());
    meter.add(start, 0, fold.countedPairs());
    return rows.iterator();
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

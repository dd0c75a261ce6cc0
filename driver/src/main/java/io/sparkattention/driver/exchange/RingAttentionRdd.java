package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.Dependency;
import org.apache.spark.NarrowDependency;
import org.apache.spark.OneToOneDependency;
import org.apache.spark.Partition;
import org.apache.spark.TaskContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.rdd.RDD;
import scala.collection.Iterator;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;

/**
 * Partition r is the attention of rank r: its queries against all the runs of keys and values that
 * its schedule names. The dependency on the runs is narrow, although every rank may read every run:
 * a rank reads a persisted run where it lies, and Spark recomputes a lost one from its lineage.
 */
final class RingAttentionRdd extends RDD<AttentionRows> {
  private static final long serialVersionUID = 1L;

  private final RDD<PlacedQueries> queries;
  private final RDD<PlacedKeyValues> keyValues;
  private final PairFold fold;
  private final AttentionMeter meter;
  private final Broadcast<RunCache> cache;

  /** Of Spark's driver, where the ranks are made. */
  private final transient AttentionPlan plan;

  RingAttentionRdd(
      AttentionPlan plan,
      RDD<PlacedQueries> queries,
      RDD<PlacedKeyValues> keyValues,
      AttentionMeter meter,
      Broadcast<RunCache> cache) {
    super(
        queries.context(),
        dependencies(queries, keyValues, runs(plan)),
        ClassTag$.MODULE$.apply(AttentionRows.class));
    this.plan = plan;
    this.queries = queries;
    this.keyValues = keyValues;
    this.fold = PairFold.of(plan, keyValues.toJavaRDD());
    this.meter = meter;
    this.cache = cache;
  }

  /** [ranks][visits]: partitions of the keys and values that each rank visits, in order. */
  private static int[][] runs(AttentionPlan plan) {
    return IntStream.range(0, plan.shards()).mapToObj(plan.schedule()::runs).toArray(int[][]::new);
  }

  private static scala.collection.immutable.Seq<Dependency<?>> dependencies(
      RDD<PlacedQueries> queries, RDD<PlacedKeyValues> keyValues, int[][] runs) {
    // The queries come first: Spark prefers to run a rank where they are.
    List<Dependency<?>> both =
        List.of(new OneToOneDependency<>(queries), new RunsDependency(keyValues, runs));
    return CollectionConverters.asScala(both).toList();
  }

  @Override
  public Partition[] getPartitions() {
    Partition[] ranks = new Partition[plan.shards()];
    for (int rank = 0; rank < ranks.length; rank++) {
      List<Partition> visits = new ArrayList<>();
      for (int run : plan.schedule().runs(rank)) {
        visits.add(keyValues.partitions()[run]);
      }
      ranks[rank] =
          new Rank(
              RankAttention.of(plan, rank),
              queries.partitions()[rank],
              visits.toArray(Partition[]::new));
    }
    return ranks;
  }

  @Override
  public Iterator<AttentionRows> compute(Partition split, TaskContext context) {
    long start = System.currentTimeMillis();
    Rank rank = (Rank) split;
    StoredRuns stored = new StoredRuns(context);
    List<PlacedQueries> own = stored.read(queries, rank.queries);
    List<AttentionRows> rows =
        rank.attention.of(
            fold, own, visit -> stored.read(keyValues, rank.visits[visit], cache), context);
    meter.add(start, stored.bytesMoved(), fold.countedPairs());
    return CollectionConverters.asScala(rows.iterator());
  }

  /** A rank's own queries and the runs that it visits, in ring order. */
  private static final class Rank implements Partition {
    private static final long serialVersionUID = 1L;

    private final RankAttention attention;
    private final Partition queries;
    private final Partition[] visits;

    Rank(RankAttention attention, Partition queries, Partition[] visits) {
      this.attention = attention;
      this.queries = queries;
      this.visits = visits;
    }

    @Override
    public int index() {
      return attention.rank();
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Rank rank && rank.index() == index();
    }

    @Override
    public int hashCode() {
      return index();
    }
  }

  /** Each rank depends on the runs that it visits. */
  private static final class RunsDependency extends NarrowDependency<PlacedKeyValues> {
    private static final long serialVersionUID = 1L;

    private final int[][] runs;

    RunsDependency(RDD<PlacedKeyValues> keyValues, int[][] runs) {
      super(keyValues);
      this.runs = runs;
    }

    @Override
    public scala.collection.immutable.Seq<Object> getParents(int rank) {
      List<Object> parents = new ArrayList<>();
      for (int run : runs[rank]) {
        parents.add(run);
      }
      return CollectionConverters.asScala(parents).toList();
    }
  }
}

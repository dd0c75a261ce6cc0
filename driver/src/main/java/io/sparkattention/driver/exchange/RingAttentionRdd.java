package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.partitioning.Block;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.Dependency;
import org.apache.spark.NarrowDependency;
import org.apache.spark.OneToOneDependency;
import org.apache.spark.Partition;
import org.apache.spark.TaskContext;
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

  /** Of Spark's driver, where the ranks are made. */
  private final transient AttentionPlan plan;

  RingAttentionRdd(
      AttentionPlan plan,
      RDD<PlacedQueries> queries,
      RDD<PlacedKeyValues> keyValues,
      AttentionMeter meter) {
    super(
        queries.context(),
        dependencies(queries, keyValues, runs(plan)),
        ClassTag$.MODULE$.apply(AttentionRows.class));
    this.plan = plan;
    this.queries = queries;
    this.keyValues = keyValues;
    this.fold = PairFold.of(plan, keyValues.toJavaRDD());
    this.meter = meter;
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
              rank,
              queries.partitions()[rank],
              visits.toArray(Partition[]::new),
              lastVisits(plan, rank));
    }
    return ranks;
  }

  /** The visit of its rank after which each query block has seen all its keys. */
  static HashMap<Block, Integer> lastVisits(AttentionPlan plan, int rank) {
    HashMap<Block, Integer> lastVisits = new HashMap<>();
    for (int i = 0; i < plan.queryRanks().length; i++) {
      if (plan.queryRanks()[i] == rank) {
        lastVisits.put(plan.queryBlocks().get(i), plan.schedule().lastVisit(i));
      }
    }
    return lastVisits;
  }

  @Override
  public Iterator<AttentionRows> compute(Partition split, TaskContext context) {
    long start = System.currentTimeMillis();
    HeapPeak.watch();
    Rank rank = (Rank) split;
    QueryStates own = new QueryStates(fold, context);
    CollectionConverters.asJava(queries.iterator(rank.queries, context)).forEachRemaining(own::add);

    StoredRuns runs = new StoredRuns(keyValues, rank.visits, context);
    List<AttentionRows> rows;
    try (RunPrefetcher prefetcher = new RunPrefetcher(runs, context)) {
      rows = own.foldAll(prefetcher, rank.lastVisits);
    }
    meter.add(start, runs.bytesMoved(), fold.countedPairs());
    return CollectionConverters.asScala(rows.iterator());
  }

  /** A rank's own queries and the runs that it visits, in ring order. */
  private static final class Rank implements Partition {
    private static final long serialVersionUID = 1L;

    private final int index;
    private final Partition queries;
    private final Partition[] visits;

    /** The visit after which each of its query blocks has seen all its keys. */
    private final HashMap<Block, Integer> lastVisits;

    Rank(int index, Partition queries, Partition[] visits, HashMap<Block, Integer> lastVisits) {
      this.index = index;
      this.queries = queries;
      this.visits = visits;
      this.lastVisits = lastVisits;
    }

    @Override
    public int index() {
      return index;
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Rank rank && rank.index == index;
    }

    @Override
    public int hashCode() {
      return index;
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

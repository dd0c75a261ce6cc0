package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.apache.spark.Dependency;
import org.apache.spark.OneToOneDependency;
import org.apache.spark.Partition;
import org.apache.spark.ShuffleDependency;
import org.apache.spark.TaskContext;
import org.apache.spark.rdd.RDD;
import org.apache.spark.scheduler.TaskLocation;
import scala.collection.Iterator;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;

/**
 * The ranks of a barrier stage: partition r holds one element, what rank r has to do.
 *
 * <p>A barrier stage wants every RDD that it computes to have as many partitions as it has tasks,
 * which keys and values have not. So this RDD does not depend on them, but on the shuffles that
 * they come from: Spark repairs those if their outputs are lost, and what a task then computes
 * again of keys and values is up to the task.
 */
final class BarrierRanks extends RDD<BarrierRanks.Rank> {
  private static final long serialVersionUID = 1L;

  /** Of Spark's driver, where the ranks are made. */
  private final transient AttentionPlan plan;

  private final transient RDD<PlacedQueries> queries;
  private final transient RDD<PlacedKeyValues> keyValues;
  private final transient int slotsPerExecutor;

  /**
   * @param slotsPerExecutor tasks that an executor runs at once
   */
  BarrierRanks(
      AttentionPlan plan,
      RDD<PlacedQueries> queries,
      RDD<PlacedKeyValues> keyValues,
      int slotsPerExecutor) {
    super(
        queries.context(),
        dependencies(queries, keyValues),
        ClassTag$.MODULE$.apply(BarrierRanks.Rank.class));
    this.plan = plan;
    this.queries = queries;
    this.keyValues = keyValues;
    this.slotsPerExecutor = slotsPerExecutor;
  }

  private static Seq<Dependency<?>> dependencies(
      RDD<PlacedQueries> queries, RDD<PlacedKeyValues> keyValues) {
    List<Dependency<?>> all = new ArrayList<>();
    all.add(new OneToOneDependency<>(queries));
    Deque<RDD<?>> lineage = new ArrayDeque<>(List.of(keyValues));
    Set<RDD<?>> seen = new HashSet<>();
    while (!lineage.isEmpty()) {
      RDD<?> rdd = lineage.pop();
      if (seen.add(rdd)) {
        for (Dependency<?> parent : CollectionConverters.asJava(rdd.dependencies())) {
          if (parent instanceof ShuffleDependency) {
            all.add(parent);
          } else {
            lineage.push(parent.rdd());
          }
        }
      }
    }
    return CollectionConverters.asScala(all).toList();
  }

  @Override
  public Partition[] getPartitions() {
    int[][] reads = new int[plan.shards()][plan.shards()];
    List<AttentionTask> tasks = AttentionTask.of(plan);
    List<Visit[]> visits = new ArrayList<>();
    for (int rank = 0; rank < plan.shards(); rank++) {
      int[] runs = plan.schedule().runs(rank);
      int[] steps = plan.schedule().steps(rank);
      Visit[] ofRank = new Visit[runs.length];
      for (int i = 0; i < runs.length; i++) {
        ofRank[i] =
            new Visit(
                runs[i], plan.runShards()[runs[i]], steps[i], keyValues.partitions()[runs[i]]);
        reads[ofRank[i].shard][rank]++;
      }
      visits.add(ofRank);
    }
    Partition[] ranks = new Partition[plan.shards()];
    for (int rank = 0; rank < ranks.length; rank++) {
      ranks[rank] =
          new Rank(
              rank,
              queries.partitions()[rank],
              visits.get(rank),
              ownRuns(rank),
              reads[rank],
              tasks.get(rank).lastVisits());
    }
    return ranks;
  }

  private Partition[] ownRuns(int rank) {
    return IntStream.range(0, plan.runShards().length)
        .filter(run -> plan.runShards()[run] == rank)
        .mapToObj(run -> keyValues.partitions()[run])
        .toArray(Partition[]::new);
  }

  @Override
  public Iterator<Rank> compute(Partition split, TaskContext context) {
    return CollectionConverters.asScala(List.of((Rank) split).iterator());
  }

  /**
   * Where a rank's own keys and values lie. No more ranks than fit: since all of them start at
   * once, one that waits for its place would hold up the others.
   */
  @Override
  public Seq<String> getPreferredLocations(Partition split) {
    List<String> preferred = new ArrayList<>();
    String place = place(split.index());
    if (!place.isEmpty()) {
      long before =
          IntStream.range(0, split.index()).filter(rank -> place.equals(place(rank))).count();
      if (before < slotsPerExecutor) {
        preferred.add(place);
      }
    }
    return CollectionConverters.asScala(preferred).toList();
  }

  /** Spark's text of the place of a rank's first run, empty if it has none. */
  private String place(int rank) {
    Partition[] own = ownRuns(rank);
    if (own.length == 0) {
      return "";
    }
    Seq<TaskLocation> places = context().getPreferredLocs(keyValues, own[0].index());
    return places.isEmpty() ? "" : places.head().toString();
  }

  /**
   * One run that a rank reads.
   *
   * @param run index of the run
   * @param shard rank that owns it
   * @param step of the ring
   * @param stored the run in the RDD of keys and values
   */
  record Visit(int run, int shard, int step, Partition stored) implements Serializable {}

  /** What a rank has, reads and serves. */
  static final class Rank implements Partition {
    private static final long serialVersionUID = 1L;

    private final int index;
    private final Partition queries;
    private final Visit[] visits;
    private final Partition[] own;
    private final int[] reads;
    private final HashMap<Block, Integer> lastVisits;

    private Rank(
        int index,
        Partition queries,
        Visit[] visits,
        Partition[] own,
        int[] reads,
        HashMap<Block, Integer> lastVisits) {
      this.index = index;
      this.queries = queries;
      this.visits = visits;
      this.own = own;
      this.reads = reads;
      this.lastVisits = lastVisits;
    }

    @Override
    public int index() {
      return index;
    }

    Partition queries() {
      return queries;
    }

    /** What it reads, in ring order. */
    Visit[] visits() {
      return visits;
    }

    /** Its own runs, which it serves. */
    Partition[] own() {
      return own;
    }

    /** [ranks]: how many of its own runs each rank reads. */
    int[] reads() {
      return reads;
    }

    /** The visit after which each of its query blocks has seen all its keys. */
    Map<Block, Integer> lastVisits() {
      return lastVisits;
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
}

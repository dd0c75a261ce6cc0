package io.sparkattention.driver.exchange;

import java.util.ArrayList;
import java.util.List;
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
 * Partition i is the attention of task i: its queries against all the runs of keys and values that
 * it visits. The dependency on the runs is narrow, although every task may read every run: a task
 * reads a persisted run where it lies, and Spark recomputes a lost one from its lineage.
 */
final class RingAttentionRdd extends RDD<AttentionRows> {
  private static final long serialVersionUID = 1L;

  private final RDD<PlacedQueries> queries;
  private final RDD<PlacedKeyValues> keyValues;
  private final PairFold fold;
  private final AttentionMeter meter;

  /** Null where runs are read once, or come from a shuffle. */
  private final Broadcast<RunCache> cache;

  /** Of Spark's driver, where the partitions are made. */
  private final transient List<AttentionTask> tasks;

  /**
   * @param queries partition i holds the queries of task i
   * @param keyValues partitions that tasks visit, persisted or from a shuffle
   * @param fold of all heads
   * @param cache of fetched runs on each executor; null: none is kept
   */
  RingAttentionRdd(
      List<AttentionTask> tasks,
      RDD<PlacedQueries> queries,
      RDD<PlacedKeyValues> keyValues,
      PairFold fold,
      AttentionMeter meter,
      Broadcast<RunCache> cache) {
    super(
        queries.context(),
        dependencies(queries, keyValues, tasks),
        ClassTag$.MODULE$.apply(AttentionRows.class));
    this.tasks = tasks;
    this.queries = queries;
    this.keyValues = keyValues;
    this.fold = fold;
    this.meter = meter;
    this.cache = cache;
  }

  private static scala.collection.immutable.Seq<Dependency<?>> dependencies(
      RDD<PlacedQueries> queries, RDD<PlacedKeyValues> keyValues, List<AttentionTask> tasks) {
    int[][] runs = tasks.stream().map(AttentionTask::visits).toArray(int[][]::new);
    // The queries come first: Spark prefers to run a task where they are.
    List<Dependency<?>> both =
        List.of(new OneToOneDependency<>(queries), new RunsDependency(keyValues, runs));
    return CollectionConverters.asScala(both).toList();
  }

  @Override
  public Partition[] getPartitions() {
    Partition[] partitions = new Partition[tasks.size()];
    for (int i = 0; i < partitions.length; i++) {
      List<Partition> visits = new ArrayList<>();
      for (int run : tasks.get(i).visits()) {
        visits.add(keyValues.partitions()[run]);
      }
      partitions[i] =
          new TaskPartition(
              i, tasks.get(i), queries.partitions()[i], visits.toArray(Partition[]::new));
    }
    return partitions;
  }

  @Override
  public Iterator<AttentionRows> compute(Partition split, TaskContext context) {
    long start = System.currentTimeMillis();
    TaskPartition partition = (TaskPartition) split;
    StoredRuns stored = new StoredRuns(context);
    List<PlacedQueries> own = stored.read(queries, partition.queries);
    AttentionTask.Result result =
        partition.task.attend(
            fold, own, visit -> stored.read(keyValues, partition.visits[visit], cache), context);
    long bytesMoved = isShuffled() ? shuffleBytes(context) : stored.bytesMoved();
    meter.add(start, bytesMoved, result.countedPairs(), result.times());
    return CollectionConverters.asScala(result.rows().iterator());
  }

  /** Whether the runs come straight from a shuffle, which counts what it moves itself. */
  private boolean isShuffled() {
    return !keyValues.getStorageLevel().isValid();
  }

  private static long shuffleBytes(TaskContext context) {
    return context.taskMetrics().shuffleReadMetrics().remoteBytesRead();
  }

  /** A task with the partitions that it reads. */
  private static final class TaskPartition implements Partition {
    private static final long serialVersionUID = 1L;

    private final int index;
    private final AttentionTask task;
    private final Partition queries;
    private final Partition[] visits;

    TaskPartition(int index, AttentionTask task, Partition queries, Partition[] visits) {
      this.index = index;
      this.task = task;
      this.queries = queries;
      this.visits = visits;
    }

    @Override
    public int index() {
      return index;
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof TaskPartition partition && partition.index == index;
    }

    @Override
    public int hashCode() {
      return index;
    }
  }

  /** Each task depends on the runs that it visits. */
  private static final class RunsDependency extends NarrowDependency<PlacedKeyValues> {
    private static final long serialVersionUID = 1L;

    private final int[][] runs;

    RunsDependency(RDD<PlacedKeyValues> keyValues, int[][] runs) {
      super(keyValues);
      this.runs = runs;
    }

    @Override
    public scala.collection.immutable.Seq<Object> getParents(int task) {
      List<Object> parents = new ArrayList<>();
      for (int run : runs[task]) {
        parents.add(run);
      }
      return CollectionConverters.asScala(parents).toList();
    }
  }
}

package io.sparkattention.driver.exchange;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.Partition;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.executor.InputMetrics;
import org.apache.spark.rdd.RDD;
import org.apache.spark.storage.RDDBlockId;
import scala.collection.Iterator;

/**
 * What a task reads from persisted RDDs, and the bytes of it that came from other executors, by
 * Spark's own count of the task's input. A partition that was lost is computed again from its
 * lineage, and what that reads is not counted.
 */
final class StoredRuns {
  private final TaskContext context;

  /** Written by the reading thread, read after it ended its work. */
  private volatile long bytesMoved;

  StoredRuns(TaskContext context) {
    this.context = context;
  }

  /** Bytes that came from other executors, as they were on the wire. */
  long bytesMoved() {
    return bytesMoved;
  }

  /**
   * A run from this executor's storage, its cache, or another executor, in that order.
   *
   * @param cache null: there is none
   */
  List<PlacedKeyValues> read(
      RDD<PlacedKeyValues> keyValues, Partition run, Broadcast<RunCache> cache) {
    return cache == null || isHere(keyValues, run)
        ? read(keyValues, run)
        : cache.value().get(run.index(), context, () -> read(keyValues, run));
  }

  /** A partition, from wherever it is. One thread reads at a time. */
  <T> List<T> read(RDD<T> rdd, Partition partition) {
    boolean here = isHere(rdd, partition);
    InputMetrics input = context.taskMetrics().inputMetrics();
    long before = input.bytesRead();
    Iterator<T> stored = rdd.iterator(partition, context);
    bytesMoved += here ? 0 : input.bytesRead() - before;
    List<T> elements = new ArrayList<>();
    while (stored.hasNext()) {
      elements.add(stored.next());
    }
    return elements;
  }

  private static boolean isHere(RDD<?> rdd, Partition partition) {
    RDDBlockId id = new RDDBlockId(rdd.id(), partition.index());
    return SparkEnv.get().blockManager().getStatus(id).isDefined();
  }
}

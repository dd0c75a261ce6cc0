package io.sparkattention.driver;

import java.util.List;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.storage.BlockManagerMaster;
import scala.jdk.javaapi.CollectionConverters;

/**
 * What a plan knows of the cluster that it is for.
 *
 * @param executors processes that compute, at least 1; the driver itself where it is the only one
 * @param slots tasks that run at once, at least 1
 * @param executorBytes memory in which an executor stores and computes, by Spark's account: the
 *     smallest of all executors
 */
public record Cluster(int executors, int slots, long executorBytes) {
  /** Of an executor's memory, for runs that it has fetched and may need again. */
  private static final int CACHE_SHARE = 8;

  /** Of a task's memory, for states of queries. */
  private static final int STATE_SHARE = 4;

  /**
   * The cluster as it is now, or as soon as it has an executor: one is waited for.
   *
   * @param taskCpus cores of a task
   */
  static Cluster of(JavaSparkContext context, int taskCpus) {
    if (!context.isLocal() && context.sc().getExecutorMemoryStatus().size() == 1) {
      // Only the driver is there: a job begins when an executor is.
      context.parallelize(List.of(1), 1).count();
    }
    BlockManagerMaster master = SparkEnv.get().blockManager().master();
    int others = 0;
    long bytes = Long.MAX_VALUE;
    long driverBytes = 0;
    for (var manager : CollectionConverters.asJava(master.getMemoryStatus()).entrySet()) {
      long most = (Long) manager.getValue()._1();
      if (manager.getKey().isDriver()) {
        driverBytes = most;
      } else {
        others++;
        bytes = Math.min(bytes, most);
      }
    }
    int slots = Math.max(1, context.defaultParallelism() / taskCpus);
    return new Cluster(Math.max(1, others), slots, others == 0 ? driverBytes : bytes);
  }

  /** The executor, by number, that owns a part of what is cut in equal parts, in their order. */
  public int executor(int part, int parts) {
    return (int) ((long) part * executors / parts);
  }

  /** The most bytes of fetched runs that an executor keeps for its tasks. */
  public long cacheBytes() {
    return executorBytes / CACHE_SHARE;
  }

  /** The most bytes of states that a task of {@code reduce} holds, but for a single block's. */
  public long stateBytes() {
    long slotsPerExecutor = Math.max(1, slots / executors);
    return executorBytes / slotsPerExecutor / STATE_SHARE;
  }
}

package io.sparkattention.driver;

import io.sparkattention.partitioning.ClusterFacts;
import io.sparkattention.partitioning.ClusterFacts.Fact;
import java.util.List;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.storage.BlockManagerId;
import scala.Tuple2;
import scala.jdk.javaapi.CollectionConverters;

/** The executors that Spark has now. */
final class RunningCluster {
  /** Spark keeps 300 MiB of a heap for itself; of the rest a share is for storage and shuffles. */
  private static final double RESERVED_BYTES = 300 << 20;

  private static final double DEFAULT_SHARE = 0.6;

  private final JavaSparkContext context;

  RunningCluster(JavaSparkContext context) {
    this.context = context;
  }

  /** Tasks that the cluster runs at once. */
  int slots() {
    return Math.max(1, context.defaultParallelism() / taskCpus());
  }

  /** Cores, and so threads, of each task. */
  int taskCpus() {
    return context.getConf().getInt("spark.task.cpus", 1);
  }

  /**
   * Facts with the number, cores and memory of the executors that are there, or as soon as Spark
   * would start a job: a young application's are still on their way.
   */
  ClusterFacts facts(ClusterFacts others) {
    if (!context.isLocal()) {
      // Spark waits for spark.scheduler.minRegisteredResourcesRatio before its first task.
      context.parallelize(List.of(1), 1).count();
    }
    int executors = 0;
    double storage = Double.MAX_VALUE;
    for (Tuple2<BlockManagerId, Tuple2<Object, Object>> manager : managers()) {
      if (context.isLocal() || !manager._1().isDriver()) {
        executors++;
        storage = Math.min(storage, (Long) manager._2()._1());
      }
    }
    ClusterFacts facts =
        others
            .with(Fact.EXECUTORS, Math.max(1, executors))
            .with(Fact.TASK_CPUS, taskCpus())
            .with(Fact.CORES, Math.max(1, slots() / Math.max(1, executors)) * taskCpus());
    if (executors == 0) {
      return facts;
    }
    double share = context.getConf().getDouble("spark.memory.fraction", DEFAULT_SHARE);
    return facts.with(Fact.MEMORY, (storage / share + RESERVED_BYTES) / (1L << 30));
  }

  /** Of each process that stores blocks, its storage memory: all of it, and what is left. */
  private Iterable<Tuple2<BlockManagerId, Tuple2<Object, Object>>> managers() {
    return CollectionConverters.asJava(
        org.apache.spark.SparkEnv.get().blockManager().master().getMemoryStatus().toSeq());
  }
}

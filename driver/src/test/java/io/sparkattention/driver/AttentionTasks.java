package io.sparkattention.driver;

import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.SparkListenerTaskStart;
import org.apache.spark.scheduler.StageInfo;
import org.apache.spark.storage.RDDInfo;
import scala.jdk.javaapi.CollectionConverters;

/** Follows the tasks of the attention jobs, and lost executors, from Spark's events. */
final class AttentionTasks extends SparkListener {
  private final Set<Integer> stages = ConcurrentHashMap.newKeySet();
  private final Set<String> finished = ConcurrentHashMap.newKeySet();
  private final Set<String> busyAgain = ConcurrentHashMap.newKeySet();
  private final Set<String> removed = ConcurrentHashMap.newKeySet();
  private final String rdd;
  private volatile long firstLaunch = Long.MAX_VALUE;
  private volatile long lastFinish = Long.MIN_VALUE;
  private volatile int running;

  /** Of all stages. */
  AttentionTasks() {
    this("");
  }

  /**
   * @param rdd follows only stages that compute an RDD whose name contains this
   */
  AttentionTasks(String rdd) {
    this.rdd = rdd;
  }

  /** An executor that has finished an attention task and has started another. */
  Optional<String> busyAgain() {
    return busyAgain.stream().findFirst();
  }

  /** Executors that Spark has given up. */
  Set<String> removed() {
    return removed;
  }

  /** Attention tasks that have started and not ended. */
  int running() {
    return running;
  }

  /** From the first launch of an attention task to the last end of one. */
  double seconds() {
    return (lastFinish - firstLaunch) / 1e3;
  }

  @Override
  public void onJobStart(SparkListenerJobStart job) {
    if (job.properties().getProperty("spark.job.description", "").startsWith("attention:")) {
      for (StageInfo stage : CollectionConverters.asJava(job.stageInfos())) {
        for (RDDInfo computed : CollectionConverters.asJava(stage.rddInfos())) {
          if (computed.name().contains(rdd)) {
            stages.add(stage.stageId());
          }
        }
      }
    }
  }

  @Override
  @SuppressWarnings("NonAtomicVolatileUpdate") // Spark calls from one thread
  public void onTaskStart(SparkListenerTaskStart task) {
    if (stages.contains(task.stageId())) {
      running++;
      firstLaunch = Math.min(firstLaunch, task.taskInfo().launchTime());
      if (finished.contains(task.taskInfo().executorId())) {
        busyAgain.add(task.taskInfo().executorId());
      }
    }
  }

  @Override
  @SuppressWarnings("NonAtomicVolatileUpdate") // Spark calls from one thread
  public void onTaskEnd(SparkListenerTaskEnd task) {
    if (stages.contains(task.stageId())) {
      running--;
      lastFinish = Math.max(lastFinish, task.taskInfo().finishTime());
      if (task.taskInfo().successful()) {
        finished.add(task.taskInfo().executorId());
      }
    }
  }

  @Override
  public void onExecutorRemoved(SparkListenerExecutorRemoved executor) {
    removed.add(executor.executorId());
  }
}

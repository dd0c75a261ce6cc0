package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import org.apache.spark.api.java.JavaRDD;

/**
 * A way in which queries meet keys and values. All give the same bits. One object serves one run;
 * closed, it releases what the run still holds on the cluster.
 */
public interface Exchange extends AutoCloseable {
  /**
   * The keys and values by the tasks that are to compute and keep them.
   *
   * @param keyValues partition i holds run i of the plan; persisted
   * @return the same elements, of any number of partitions
   */
  default JavaRDD<PlacedKeyValues> owners(AttentionPlan plan, JavaRDD<PlacedKeyValues> keyValues) {
    return keyValues;
  }

  /**
   * Attention of all queries.
   *
   * @param queries partition p holds the query blocks of {@link AttentionPlan#queryPartitions} p;
   *     persisted and materialised
   * @param keyValues partition i holds run i of the plan; persisted and materialised
   * @param meter receives what the tasks measured
   * @return the finished rows of each query block, once, in no particular order
   */
  JavaRDD<AttentionRows> attend(
      AttentionPlan plan,
      JavaRDD<PlacedQueries> queries,
      JavaRDD<PlacedKeyValues> keyValues,
      AttentionMeter meter);

  /** Bytes that executors have received of broadcast variables so far; not in the meter. */
  default long broadcastBytes() {
    return 0;
  }

  /**
   * Throws a clearer failure than Spark's, if this exchange knows the reason.
   *
   * @param failure what the job of the attention ended with
   */
  default void explain(Throwable failure) {}

  @Override
  default void close() {}
}

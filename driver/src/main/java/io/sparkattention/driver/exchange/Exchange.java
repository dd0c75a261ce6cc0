package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import org.apache.spark.api.java.JavaRDD;

/**
 * A way in which queries meet keys and values. All give the same bits. One object serves one run;
 * closed, it releases what the run still holds on the cluster.
 */
public interface Exchange extends AutoCloseable {
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

  @Override
  default void close() {}
}

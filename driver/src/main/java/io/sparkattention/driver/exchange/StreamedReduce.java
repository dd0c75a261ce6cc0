package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.driver.AttentionInput;
import io.sparkattention.driver.AttentionPlan;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;

/**
 * The reduce exchange where keys and values are folded as they are read: the queries go to the
 * tasks that read, which keep nothing but the queries' states. For few queries and a table that is
 * read once.
 */
public final class StreamedReduce implements AutoCloseable {
  /** Bytes of states that every reading task may hold and send. */
  private static final long MAX_STATE_BYTES = 16L << 20;

  /** Of a state: a bin and two doubles. */
  private static final int ELEMENT_BYTES = Integer.BYTES + 2 * Double.BYTES;

  /** All queries on every executor, until the rows are written; null before. */
  private Broadcast<PlacedQueries[]> everywhere;

  /**
   * Whether keys and values need not be kept: few queries meet them, once. Block top-k looks at all
   * keys before a query chooses, and scores that are written are computed from keys that are there.
   */
  public static boolean suits(AttentionPlan plan, AttentionInput input) {
    double elements = (double) plan.tokens() * plan.layout().numHeads();
    double bytes = elements * (plan.layout().valueDim() + 1) * ELEMENT_BYTES;
    return input.foldsKeyValues()
        && plan.exchange() == ExchangeKind.REDUCE
        && bytes <= MAX_STATE_BYTES
        && plan.mask().topK().isEmpty()
        && plan.scoresOutput().isEmpty();
  }

  /**
   * Attention of all queries.
   *
   * @param queries persisted and materialised
   * @param input folds its keys and values as it reads them
   * @param meter receives what the tasks measured, reading included
   * @return the finished rows of each query block, once, in no particular order
   */
  public JavaRDD<AttentionRows> attend(
      AttentionPlan plan,
      JavaRDD<PlacedQueries> queries,
      AttentionInput input,
      AttentionMeter meter) {
    JavaSparkContext context = JavaSparkContext.fromSparkContext(queries.context());
    PlacedQueries[] collected = queries.collect().toArray(PlacedQueries[]::new);
    Broadcast<PlacedQueries[]> broadcast = context.broadcast(collected);
    everywhere = broadcast;
    PairFold fold = PairFold.of(plan);
    return input
        .foldKeyValues(plan, () -> new KeyValueFold(fold, broadcast.value(), meter))
        .reduceByKey((into, other) -> ReduceExchange.merge(into, other, meter), plan.shards())
        .mapPartitions(merged -> ReduceExchange.finish(fold, merged, meter));
  }

  /** Bytes that executors have received of the queries; not in the meter. */
  public long broadcastBytes() {
    return everywhere == null ? 0 : BroadcastBytes.received(List.of(everywhere));
  }

  @Override
  public void close() {
    if (everywhere != null) {
      everywhere.destroy();
    }
  }
}

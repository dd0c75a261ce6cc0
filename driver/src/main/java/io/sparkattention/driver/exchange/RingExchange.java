package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import org.apache.spark.api.java.JavaRDD;

/**
 * The keys and values go to the queries, in ring order: rank r reads shard (r + s) mod P at step s,
 * so that no shard is asked for by all ranks at once (Ring Attention, Liu et al. 2023,
 * arXiv:2310.01889). Ranks need not run at the same time: Spark's storage holds the shards, and its
 * lineage repairs what a lost executor held.
 */
public final class RingExchange implements Exchange {
  @Override
  public JavaRDD<AttentionRows> attend(
      AttentionPlan plan,
      JavaRDD<PlacedQueries> queries,
      JavaRDD<PlacedKeyValues> keyValues,
      AttentionMeter meter) {
    return new RingAttentionRdd(
            AttentionTask.of(plan),
            queries.rdd(),
            keyValues.rdd(),
            PairFold.of(plan, keyValues),
            meter)
        .toJavaRDD();
  }
}

package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import java.io.Serializable;
import org.apache.spark.Partition;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.rdd.PartitionCoalescer;
import org.apache.spark.rdd.PartitionGroup;
import org.apache.spark.rdd.RDD;
import scala.Option;

/** Groups the runs of a key/value RDD by the shard that owns them. */
final class ShardCoalescer implements PartitionCoalescer, Serializable {
  private static final long serialVersionUID = 1L;

  private final int[] runShards;

  /**
   * @param runShards [runs]: the shard of each partition of the RDD
   */
  private ShardCoalescer(int[] runShards) {
    this.runShards = runShards;
  }

  /** Partition p holds the runs of shard p. */
  static JavaRDD<PlacedKeyValues> shards(AttentionPlan plan, JavaRDD<PlacedKeyValues> keyValues) {
    return keyValues
        .rdd()
        .coalesce(plan.shards(), false, Option.apply(new ShardCoalescer(plan.runShards())), null)
        .toJavaRDD();
  }

  @Override
  public PartitionGroup[] coalesce(int shards, RDD<?> runs) {
    PartitionGroup[] groups = new PartitionGroup[shards];
    for (int shard = 0; shard < shards; shard++) {
      groups[shard] = new PartitionGroup(Option.empty());
    }
    for (Partition run : runs.partitions()) {
      groups[runShards[run.index()]].partitions().addOne(run);
    }
    return groups;
  }
}

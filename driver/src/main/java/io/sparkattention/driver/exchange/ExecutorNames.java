package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.Placement;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.scheduler.ExecutorCacheTaskLocation;
import org.apache.spark.storage.BlockId;
import org.apache.spark.storage.BlockManager;
import org.apache.spark.storage.BlockManagerId;
import org.apache.spark.storage.RDDBlockId;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Where partitions should run, by the names that Spark has for executors: shards that follow each
 * other go to the same one, and a rank to where its key shard lies. Preferences: Spark waits for a
 * busy executor as long as {@code spark.locality.wait} says, and then takes another.
 */
public final class ExecutorNames {
  private final AttentionPlan plan;

  /** By number; empty where Spark's driver computes. */
  private final List<String> names;

  /** The executors that there are now. */
  public ExecutorNames(AttentionPlan plan) {
    this.plan = plan;
    BlockManager blocks = SparkEnv.get().blockManager();
    this.names =
        CollectionConverters.asJava(blocks.master().getPeers(blocks.blockManagerId())).stream()
            .sorted(
                Comparator.comparingInt((BlockManagerId id) -> id.executorId().length())
                    .thenComparing(BlockManagerId::executorId))
            .map(ExecutorNames::name)
            .toList();
  }

  private static String name(BlockManagerId id) {
    return new ExecutorCacheTaskLocation(id.host(), id.executorId()).toString();
  }

  /** The same keys and values, the runs of a shard on one executor. */
  public JavaRDD<PlacedKeyValues> placeRuns(JavaRDD<PlacedKeyValues> keyValues) {
    String[] ofShard = inOrder(plan.shards());
    return placed(
        keyValues,
        IntStream.of(plan.runShards()).mapToObj(shard -> ofShard[shard]).toArray(String[]::new));
  }

  /**
   * The same queries, those of a rank where most of its key shard lies.
   *
   * @param keyValues persisted and materialised
   */
  public JavaRDD<PlacedQueries> placeRanks(
      JavaRDD<PlacedQueries> queries, JavaRDD<PlacedKeyValues> keyValues) {
    String[] holders = holders(keyValues);
    return placed(
        queries,
        IntStream.range(0, queries.getNumPartitions())
            .mapToObj(partition -> holders[partition % plan.shards()])
            .toArray(String[]::new));
  }

  /** The same elements, partitions that follow each other on one executor, equally many on each. */
  <T> JavaRDD<T> placeInOrder(JavaRDD<T> rdd) {
    return placed(rdd, inOrder(rdd.getNumPartitions()));
  }

  private <T> JavaRDD<T> placed(JavaRDD<T> rdd, String[] executors) {
    return names.isEmpty() ? rdd : new LocatedRdd<>(rdd.rdd(), executors).toJavaRDD();
  }

  private String[] inOrder(int parts) {
    String[] executors = new String[parts];
    for (int part = 0; part < parts && !names.isEmpty(); part++) {
      executors[part] = names.get(Placement.executor(part, parts, names.size()));
    }
    return executors;
  }

  /** [shards]: the executor that holds most keys of each; of one without keys, that in order. */
  private String[] holders(JavaRDD<PlacedKeyValues> keyValues) {
    String[] holders = inOrder(plan.shards());
    BlockId[] ids =
        IntStream.range(0, plan.runShards().length)
            .mapToObj(run -> new RDDBlockId(keyValues.id(), run))
            .toArray(BlockId[]::new);
    List<Map<String, Long>> tokens = new ArrayList<>();
    IntStream.range(0, plan.shards()).forEach(shard -> tokens.add(new HashMap<>()));
    Seq<Seq<BlockManagerId>> locations = SparkEnv.get().blockManager().master().getLocations(ids);
    for (int run = 0; run < ids.length; run++) {
      long size = plan.keyRuns().get(run).stream().mapToLong(block -> block.tokens()).sum();
      for (BlockManagerId holder : CollectionConverters.asJava(locations.apply(run))) {
        tokens.get(plan.runShards()[run]).merge(name(holder), size, Long::sum);
      }
    }
    for (int shard = 0; shard < holders.length; shard++) {
      String inOrder = holders[shard];
      holders[shard] =
          tokens.get(shard).entrySet().stream()
              .max(Map.Entry.<String, Long>comparingByValue().thenComparing(Map.Entry::getKey))
              .map(Map.Entry::getKey)
              .orElse(inOrder);
    }
    return holders;
  }
}

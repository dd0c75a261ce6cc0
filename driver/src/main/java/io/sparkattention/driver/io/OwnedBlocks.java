package io.sparkattention.driver.io;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.partitioning.Block;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function;

/** Blocks that their owner makes where it is, from nothing but their positions. */
final class OwnedBlocks {
  private OwnedBlocks() {}

  /** Partition p is what {@code read} makes of the query blocks of turn and rank p. */
  static JavaRDD<PlacedQueries> queries(
      JavaSparkContext context, AttentionPlan plan, Function<Block, PlacedQueries> read) {
    List<List<Block>> partitions = new ArrayList<>();
    int[] ofBlocks = plan.queryPartitions();
    IntStream.range(0, plan.queryPartitionCount()).forEach(p -> partitions.add(new ArrayList<>()));
    for (int i = 0; i < ofBlocks.length; i++) {
      partitions.get(ofBlocks[i]).add(plan.queryBlocks().get(i));
    }
    return of(context, partitions, read);
  }

  /** Partition i is what {@code read} makes of the key blocks of run i. */
  static JavaRDD<PlacedKeyValues> keyValues(
      JavaSparkContext context, AttentionPlan plan, Function<Block, PlacedKeyValues> read) {
    return of(context, plan.keyRuns(), read);
  }

  /** Partition i is what {@code read} makes of the blocks of list i. */
  static <T> JavaRDD<T> of(
      JavaSparkContext context, List<List<Block>> lists, Function<Block, T> read) {
    if (lists.isEmpty()) {
      // Nothing but padding: Spark has no list of no partitions.
      return context.emptyRDD();
    }
    List<Block[]> partitions = lists.stream().map(list -> list.toArray(Block[]::new)).toList();
    return context
        .parallelize(partitions, partitions.size())
        .flatMap(blocks -> Stream.of(blocks).iterator())
        .map(read);
  }
}

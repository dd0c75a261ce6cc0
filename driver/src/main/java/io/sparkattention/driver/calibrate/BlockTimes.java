package io.sparkattention.driver.calibrate;

import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.Block;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.storage.BlockResult;
import org.apache.spark.storage.RDDBlockId;
import org.apache.spark.storage.StorageLevel;
import scala.Option;
import scala.reflect.ClassTag$;

/** Stored blocks of keys and values that all task slots read at once, as the exchanges do. */
final class BlockTimes implements AutoCloseable {
  /** The least of blocks that a task reads. */
  private static final int MOST_READS = 8;

  private final JavaRDD<PlacedKeyValues> blocks;
  private final JavaSparkContext context;
  private final int slots;

  /**
   * Stores blocks.
   *
   * @param layout and {@code tokens}: of each
   * @param count blocks
   * @param slots tasks that read them at once
   */
  BlockTimes(
      JavaSparkContext context,
      HeadLayout layout,
      int tokens,
      int count,
      StorageLevel level,
      int slots) {
    this.context = context;
    this.slots = slots;
    this.blocks =
        context
            .parallelize(IntStream.range(0, count).boxed().toList(), count)
            .map(i -> block(layout, tokens, i))
            .persist(level);
    blocks.foreachPartition(partition -> partition.forEachRemaining(block -> {}));
  }

  private static PlacedKeyValues block(HeadLayout layout, int tokens, int index) {
    return new PlacedKeyValues(
        new Block(0, (long) index * tokens, (index + 1L) * tokens),
        KernelTimes.keyValues(layout, tokens));
  }

  /**
   * Reads the blocks that are here, or those that are not, in all slots.
   *
   * @return seconds, bytes and blocks of all tasks together
   */
  double[] read(boolean here) {
    int id = blocks.id();
    int count = blocks.getNumPartitions();
    List<Integer> tasks = IntStream.range(0, slots).boxed().toList();
    return context
        .parallelize(tasks, slots)
        .map(task -> read(id, count, here))
        .reduce(
            (a, b) -> new double[] {a[0] + b[0], a[1] + b[1], a[2] + b[2]});
  }

  private static double[] read(int rdd, int count, boolean here) {
    double[] sum = new double[3];
    int first = TaskContext.getPartitionId() * 3;
    for (int i = 0; i < count && sum[2] < MOST_READS; i++) {
      RDDBlockId id = new RDDBlockId(rdd, (first + i) % count);
      if (SparkEnv.get().blockManager().getStatus(id).isDefined() != here) {
        continue;
      }
      long start = System.nanoTime();
      Option<BlockResult> found =
          SparkEnv.get().blockManager().get(id, ClassTag$.MODULE$.apply(PlacedKeyValues.class));
      if (found.isDefined()) {
        while (found.get().data().hasNext()) {
          sum[1] += ((PlacedKeyValues) found.get().data().next()).bytes();
        }
        sum[0] += (System.nanoTime() - start) * 1e-9;
        sum[2]++;
      }
    }
    return sum;
  }

  @Override
  public void close() {
    blocks.unpersist(true);
  }
}

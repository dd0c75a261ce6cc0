package io.sparkattention.driver.calibrate;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.DistributedAttention;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.ClusterFacts;
import io.sparkattention.partitioning.ClusterFacts.Fact;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.StorageLevel;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.Tuple2;

/**
 * Measures the cluster that it runs on, in under a minute: each part in all task slots at once, as
 * attention will find them. What a cluster does not have (a network, within one JVM) keeps its
 * default.
 */
public final class Calibration {
  private static final Logger LOG = LoggerFactory.getLogger(Calibration.class);
  private static final double PEAK_SECONDS = 0.5;
  private static final HeadLayout LAYOUT = new HeadLayout(8, 8, 64, 64);
  private static final HeadLayout SMALL = new HeadLayout(1, 1, 8, 8);

  /** 16 MiB of keys and values. */
  private static final int BLOCK_TOKENS = 4096;

  private static final int BLOCKS_PER_EXECUTOR = 4;
  private static final int TASKS_PER_SLOT = 16;
  private static final int ROUNDS = 5;
  private static final int STATES = 8;
  private static final int STATE_ROWS = 512;
  private static final double STATE_BYTES = 8.0 * STATE_ROWS * 65 * 20;

  private final JavaSparkContext context;
  private final ClusterFacts cluster;
  private final int slots;
  private final double seconds;

  /**
   * @param seconds that each shape of the kernel is measured: 1 where the machine is quiet
   */
  public Calibration(SparkSession spark, double seconds) {
    this.seconds = seconds;
    this.context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    // Executors that have run a task have told Spark their memory.
    empty(TASKS_PER_SLOT * context.defaultParallelism());
    AttentionConfig config = AttentionConfig.resolve(Map.of(), new SparkConf(false));
    this.cluster = new DistributedAttention(spark).facts(config);
    this.slots = cluster.slots();
  }

  /** Measures all facts that can be. */
  public ClusterFacts measure() {
    ClusterFacts facts = kernel(cluster);
    facts = scheduling(facts);
    facts = network(facts);
    facts = storage(facts);
    facts = shuffle(facts);
    context.setJobDescription(null);
    LOG.info("Calibrated\n{}", facts);
    return facts;
  }

  private List<Integer> numbers(int count) {
    return IntStream.range(0, count).boxed().toList();
  }

  private ClusterFacts kernel(ClusterFacts facts) {
    context.setJobDescription("calibrate: kernel");
    int threads = (int) facts.get(Fact.TASK_CPUS);
    double perShape = seconds;
    double[] sum =
        context
            .parallelize(numbers(slots), slots)
            .map(slot -> KernelTimes.measure(threads, perShape))
            .reduce(Calibration::plus);
    double[] mean = Arrays.stream(sum).map(seconds -> seconds / slots).toArray();
    double peak =
        context
                .parallelize(numbers(slots), slots)
                .map(slot -> AttentionKernels.measurePeak(PEAK_SECONDS, threads))
                .reduce(Double::sum)
            / slots;
    ClusterFacts measured = KernelTimes.facts(mean, threads, facts);
    return Double.isNaN(peak) ? measured : measured.with(Fact.PEAK, peak);
  }

  private static double[] plus(double[] a, double[] b) {
    double[] sum = new double[a.length];
    Arrays.setAll(sum, i -> a[i] + b[i]);
    return sum;
  }

  /** Empty tasks: many against few, and two stages against one. */
  private ClusterFacts scheduling(ClusterFacts facts) {
    context.setJobDescription("calibrate: stages and tasks");
    double few = median(() -> empty(slots));
    double many = median(() -> empty(slots * TASKS_PER_SLOT));
    double task = Math.max(0, (many - few) / (TASKS_PER_SLOT - 1));
    double two =
        median(
            () ->
                context
                    .parallelize(numbers(slots), slots)
                    .mapToPair(i -> new Tuple2<>(i, i))
                    .reduceByKey(Integer::sum, slots)
                    .foreachPartition(partition -> partition.forEachRemaining(pair -> {})));
    return facts.with(Fact.TASK, task * 1e3).with(Fact.STAGE, Math.max(0, two - few - task) * 1e3);
  }

  private void empty(int tasks) {
    context
        .parallelize(numbers(tasks), tasks)
        .foreachPartition(partition -> partition.forEachRemaining(i -> {}));
  }

  private static double median(Runnable job) {
    double[] seconds = new double[ROUNDS];
    for (int round = -ROUNDS / 2; round < ROUNDS; round++) {
      long start = System.nanoTime();
      job.run();
      if (round >= 0) {
        seconds[round] = (System.nanoTime() - start) * 1e-9;
      }
    }
    Arrays.sort(seconds);
    return seconds[ROUNDS / 2];
  }

  private ClusterFacts network(ClusterFacts facts) {
    if (facts.executors() == 1) {
      return facts;
    }
    context.setJobDescription("calibrate: network");
    int count = facts.executors() * BLOCKS_PER_EXECUTOR;
    double latency;
    try (BlockTimes small =
        new BlockTimes(context, SMALL, 1, 2 * count, StorageLevel.MEMORY_ONLY(), slots)) {
      small.read(false);
      double[] read = small.read(false);
      if (read[2] == 0) {
        LOG.warn("All blocks are on one executor: the network keeps its default");
        return facts;
      }
      latency = read[0] / read[2];
    }
    try (BlockTimes blocks =
        new BlockTimes(context, LAYOUT, BLOCK_TOKENS, count, StorageLevel.MEMORY_ONLY(), slots)) {
      blocks.read(false);
      double[] read = blocks.read(false);
      double seconds = Math.max(read[0] - read[2] * latency, read[0] / 10);
      double perTask = read[1] / seconds;
      return read[2] == 0
          ? facts
          : facts
              .with(Fact.LATENCY, latency * 1e3)
              .with(Fact.NETWORK, perTask * facts.slotsPerExecutor() * 1e-9);
    }
  }

  private ClusterFacts storage(ClusterFacts facts) {
    context.setJobDescription("calibrate: storage");
    int count = facts.executors() * BLOCKS_PER_EXECUTOR;
    try (BlockTimes blocks =
        new BlockTimes(context, LAYOUT, BLOCK_TOKENS, count, StorageLevel.DISK_ONLY(), slots)) {
      blocks.read(true);
      double[] read = blocks.read(true);
      return read[2] == 0
          ? facts
          : facts.with(Fact.STORAGE, read[1] / read[0] * facts.slotsPerExecutor() * 1e-9);
    }
  }

  /** States that meet, as those of the exchange reduce do; what is not shuffle is taken off. */
  private ClusterFacts shuffle(ClusterFacts facts) {
    context.setJobDescription("calibrate: shuffle");
    double seconds =
        median(
            () ->
                context
                    .parallelize(numbers(slots), slots)
                    .mapPartitionsToPair(numbers -> states())
                    .reduceByKey(Calibration::merge, slots)
                    .foreachPartition(partition -> partition.forEachRemaining(state -> {})));
    double remote = 1 - 1.0 / facts.executors();
    double bytes = STATES * STATE_BYTES;
    double others =
        (facts.get(Fact.STAGE) + 2 * facts.get(Fact.TASK)) * 1e-3
            + bytes * remote * facts.slotsPerExecutor() / facts.get(Fact.NETWORK) * 1e-9;
    double alone = Math.max(seconds - others, seconds / 10);
    return facts.with(Fact.SHUFFLE, 2 * bytes / alone * 1e-9);
  }

  /** Made once in each JVM. */
  private static final class Filled {
    static final AttentionState STATE = KernelTimes.filledState(LAYOUT, STATE_ROWS);
  }

  private static Iterator<Tuple2<Block, AttentionState>> states() {
    List<Tuple2<Block, AttentionState>> states = new ArrayList<>();
    for (int i = 0; i < STATES; i++) {
      states.add(new Tuple2<>(new Block(0, i, i + 1), Filled.STATE));
    }
    return states.iterator();
  }

  private static AttentionState merge(AttentionState into, AttentionState other) {
    into.merge(other);
    return into;
  }
}

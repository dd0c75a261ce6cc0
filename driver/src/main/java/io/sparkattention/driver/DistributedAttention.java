package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.driver.exchange.AttentionMeter;
import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.exchange.BarrierExchange;
import io.sparkattention.driver.exchange.BroadcastExchange;
import io.sparkattention.driver.exchange.Exchange;
import io.sparkattention.driver.exchange.ExecutorNames;
import io.sparkattention.driver.exchange.HeadsExchange;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.driver.exchange.ReduceExchange;
import io.sparkattention.driver.exchange.RingExchange;
import io.sparkattention.driver.exchange.ScoreBlock;
import io.sparkattention.driver.exchange.StreamedReduce;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.partitioning.ClusterFacts;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.StorageLevel;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.Tuple2;

/**
 * Exact attention over a Spark cluster, softmax(QKᵀ · scale) V with masks, biases, sinks and
 * dropout. The result depends on the input, the mask, the score settings and the block size alone,
 * to the bit: not on shards, assignment or exchange, nor on executors that come and go.
 *
 * <pre>{@code
 * AttentionConfig config = AttentionConfig.resolve(Map.of(), spark.sparkContext().conf());
 * AttentionInput input = SafetensorsInput.open(spark, "in.safetensors", config);
 * AttentionReport report = new DistributedAttention(spark).run(input, config, output);
 * }</pre>
 */
public final class DistributedAttention {
  private static final Logger LOG = LoggerFactory.getLogger(DistributedAttention.class);

  /** Enough for a best round on a noisy machine. */
  private static final double PEAK_SECONDS = 0.5;

  private final JavaSparkContext context;
  private final RunningCluster cluster;
  private final double peakSeconds;

  public DistributedAttention(SparkSession spark) {
    this(spark, PEAK_SECONDS);
  }

  /**
   * @param peakSeconds how long each run measures the FMA peak
   */
  DistributedAttention(SparkSession spark, double peakSeconds) {
    this.context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    this.cluster = new RunningCluster(context);
    this.peakSeconds = peakSeconds;
  }

  /** The plan of a run, without running it. */
  public AttentionPlan plan(AttentionInput input, AttentionConfig config) {
    AttentionPlan plan = new AttentionPlan(Workload.of(input, config), config, facts(config));
    if (plan.exchange() == ExchangeKind.BARRIER) {
      BarrierExchange.check(plan, context.sc());
    }
    return plan;
  }

  /** What is known of the cluster: what Spark says now, and for the rest the configuration. */
  public ClusterFacts facts(AttentionConfig config) {
    return cluster.facts(config.facts());
  }

  /**
   * Plans, reads, computes and writes.
   *
   * @throws InvalidInputException if the input, the configuration or the output is wrong, at the
   *     latest when the numbers are packed; Spark wraps it where a task found out
   */
  public AttentionReport run(AttentionInput input, AttentionConfig config, AttentionOutput output) {
    AttentionPlan plan = plan(input, config);
    output.check(plan);
    AttentionKernels.Choice choice = AttentionKernels.named(plan.kernel());
    LOG.info("Kernel {}: {}", choice.kernel().name(), choice.reason());
    LOG.info("Plan\n{}", plan);

    try (Attended attended = attend(plan, input)) {
      describe("measure the FMA peak", plan);
      double peak = measurePeak();
      describe("write", plan);
      output.write(plan, attended.rows, attended.scores());
      int cores = Math.min(plan.placement().tasks(), cluster.slots()) * cluster.taskCpus();
      return AttentionReport.of(plan, attended.reading, cores, peak, kernels(plan));
    } finally {
      context.setJobDescription(null);
    }
  }

  /**
   * Plans, reads and computes; the rows stay on the cluster until the result is closed.
   *
   * @throws InvalidInputException as {@link #run} does
   */
  public Attended attend(AttentionInput input, AttentionConfig config) {
    try {
      return attend(plan(input, config), input);
    } finally {
      context.setJobDescription(null);
    }
  }

  private Attended attend(AttentionPlan plan, AttentionInput input) {
    Attended attended = new Attended(plan);
    try {
      attended.compute(input);
      return attended;
    } catch (Throwable e) {
      attended.close();
      throw e;
    }
  }

  /** Attention that was computed and lies on the cluster. Closed, it releases what it holds. */
  public final class Attended implements AutoCloseable {
    private final AttentionPlan plan;
    private final Exchange exchange;
    private final StreamedReduce stream = new StreamedReduce();
    private final List<JavaRDD<?>> kept = new ArrayList<>();
    private JavaRDD<PlacedKeyValues> keyValues;
    private JavaRDD<PlacedQueries> queries;
    private JavaRDD<AttentionRows> rows;
    private AttentionMeter.Reading reading;

    /** Whether closing closes the exchange. */
    private boolean open = true;

    private Attended(AttentionPlan plan) {
      this.plan = plan;
      this.exchange = exchange(plan);
    }

    private void compute(AttentionInput input) {
      boolean streamed = StreamedReduce.suits(plan, input);
      ExecutorNames executors = new ExecutorNames(plan);
      StorageLevel others = level(plan.allInMemory());
      keyValues = executors.placeRuns(input.keyValues(plan));
      if (streamed) {
        LOG.info("Keys and values are folded as they are read, and not kept");
      } else {
        kept.add(keyValues.persist(level(plan.keyValuesInMemory())));
        materialise(exchange.owners(plan, keyValues), "read and pack keys and values", plan);
      }
      queries = executors.placeRanks(input.queries(plan), keyValues);
      kept.add(queries.persist(others));
      materialise(queries, "read and pack queries", plan);

      AttentionMeter meter = new AttentionMeter();
      context.sc().register(meter, "attention");
      rows =
          streamed
              ? stream.attend(plan, queries, input, meter)
              : exchange.attend(plan, queries, keyValues, meter);
      kept.add(rows.persist(others));
      try {
        materialise(rows, "attention", plan);
      } catch (Throwable e) {
        exchange.explain(e);
        throw e;
      }
      // Read now: rows that are lost later are computed, and metered, again while they are written.
      reading =
          meter.value().plusBytes(streamed ? stream.broadcastBytes() : exchange.broadcastBytes());
    }

    /** The finished rows of each query block, once, in no particular order. */
    public JavaRDD<AttentionRows> rows() {
      return rows;
    }

    /** The packed keys and values, which closing no longer releases: the caller does. */
    public JavaRDD<PlacedKeyValues> keepKeyValues() {
      kept.removeIf(rdd -> rdd.id() == keyValues.id());
      return keyValues;
    }

    /**
     * The rows, which closing no longer releases: Spark's cleaner does, when nobody refers to them
     * any more. Keys, values and queries are released here; where stored rows are lost, they are
     * read and packed again.
     */
    public JavaRDD<AttentionRows> keepRows() {
      kept.removeIf(rdd -> rdd.id() == rows.id());
      // Lost rows need the exchange's broadcasts, which Spark cleans up too; not so the rendezvous
      // of barrier, whose rows are computed again from their shuffle.
      open = plan.exchange() == ExchangeKind.BARRIER;
      return rows;
    }

    private Optional<JavaRDD<ScoreBlock>> scores() {
      return plan.scoresOutput().map(stage -> ScoreBlock.of(plan, stage, queries, keyValues, rows));
    }

    @Override
    public void close() {
      if (open) {
        exchange.close();
        stream.close();
      }
      kept.forEach(rdd -> rdd.unpersist(false));
    }
  }

  /** Computes an RDD now; a lost partition is computed again from its lineage. */
  private <T> void materialise(JavaRDD<T> rdd, String step, AttentionPlan plan) {
    describe(step, plan);
    rdd.foreachPartition(partition -> partition.forEachRemaining(element -> {}));
  }

  /**
   * As objects, which tasks of the same executor share, where memory has room for them; else on
   * disk alone. Bytes in memory would be Spark's arrays of 1 MiB, each of which takes two regions
   * of G1 where those have 1 MiB, as in small heaps.
   */
  private static StorageLevel level(boolean inMemory) {
    return inMemory ? StorageLevel.MEMORY_AND_DISK() : StorageLevel.DISK_ONLY();
  }

  private void describe(String step, AttentionPlan plan) {
    context.setJobDescription(
        "%s: %,d tokens, %s mask, %s over %d shards"
            .formatted(step, plan.tokens(), plan.mask().summary(), plan.exchange(), plan.shards()));
  }

  private static Exchange exchange(AttentionPlan plan) {
    return switch (plan.exchange()) {
      case RING -> new RingExchange();
      case BARRIER -> new BarrierExchange();
      case REDUCE -> new ReduceExchange();
      case HEADS -> new HeadsExchange();
      case BROADCAST -> new BroadcastExchange();
      case AUTO -> throw new IllegalArgumentException("Not an exchange: " + plan.exchange());
    };
  }

  /** The kernels of the executors' JVMs; more than one where not all run the same. */
  private String kernels(AttentionPlan plan) {
    int slots = cluster.slots();
    Map<String, String> reasons = new TreeMap<>();
    context
        .parallelize(Collections.nCopies(slots, plan.kernel()), slots)
        .map(DistributedAttention::kernel)
        .collect()
        .forEach(kernel -> reasons.put(kernel._1(), kernel._2()));
    reasons.values().stream()
        .filter(reason -> !reason.isEmpty())
        .forEach(reason -> LOG.warn("Some executors are slower than they could be: {}", reason));
    return String.join("+", reasons.keySet());
  }

  /** The name of this executor's kernel, and why it is slow if it is, else nothing. */
  private static Tuple2<String, String> kernel(String name) {
    AttentionKernels.Choice choice = AttentionKernels.named(name);
    return new Tuple2<>(choice.kernel().name(), choice.slow() ? choice.reason() : "");
  }

  /** GFLOP/s of a core with all of them busy at once; the mean over the slots. */
  private double measurePeak() {
    int slots = cluster.slots();
    int threads = cluster.taskCpus();
    double sum =
        context
            .parallelize(Collections.nCopies(slots, peakSeconds), slots)
            .map(seconds -> AttentionKernels.measurePeak(seconds, threads))
            .reduce(Double::sum);
    return sum / slots;
  }
}

package io.sparkattention.driver;

import io.sparkattention.driver.exchange.AttentionMeter;
import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.exchange.Exchange;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.driver.exchange.ReduceExchange;
import io.sparkattention.driver.exchange.RingExchange;
import io.sparkattention.driver.exchange.ScoreBlock;
import io.sparkattention.kernels.AttentionKernels;
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
  private final double peakSeconds;

  public DistributedAttention(SparkSession spark) {
    this(spark, PEAK_SECONDS);
  }

  /**
   * @param peakSeconds how long each run measures the FMA peak
   */
  DistributedAttention(SparkSession spark, double peakSeconds) {
    this.context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    this.peakSeconds = peakSeconds;
  }

  /** The plan of a run, without running it. */
  public AttentionPlan plan(AttentionInput input, AttentionConfig config) {
    return new AttentionPlan(
        input.layout(), input.keyValueType(), input.sequences(), input.pairMask(), config, slots());
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
      AttentionMeter.Reading reading = attended.reading;
      describe("measure the FMA peak", plan);
      double peak = measurePeak();
      describe("write", plan);
      Optional<JavaRDD<ScoreBlock>> scores =
          plan.scoresOutput()
              .map(
                  stage ->
                      ScoreBlock.of(
                          plan, stage, attended.queries, attended.keyValues, attended.rows));
      output.write(plan, attended.rows, scores);
      int cores = Math.min(plan.shards(), slots()) * taskCpus();
      return AttentionReport.of(plan, reading, cores, peak, kernels(plan));
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
    private final List<JavaRDD<?>> kept = new ArrayList<>();
    private JavaRDD<PlacedKeyValues> keyValues;
    private JavaRDD<PlacedQueries> queries;
    private JavaRDD<AttentionRows> rows;
    private AttentionMeter.Reading reading;

    private Attended(AttentionPlan plan) {
      this.plan = plan;
      this.exchange = exchange(plan);
    }

    private void compute(AttentionInput input) {
      keyValues = input.keyValues(plan);
      queries = input.queries(plan);
      materialise(keyValues, kept, "read and pack keys and values", plan);
      materialise(queries, kept, "read and pack queries", plan);
      AttentionMeter meter = new AttentionMeter();
      context.sc().register(meter, "attention");
      rows = exchange.attend(plan, queries, keyValues, meter);
      materialise(rows, kept, "attention", plan);
      // Read now: rows that are lost later are computed, and metered, again while they are written.
      reading = meter.value();
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

    @Override
    public void close() {
      exchange.close();
      kept.forEach(rdd -> rdd.unpersist(false));
    }
  }

  /**
   * Keeps an RDD and computes it now; a lost partition is computed again from its lineage.
   *
   * @param kept receives the RDD, to be released at the end of the run, however it ends
   */
  private <T> void materialise(
      JavaRDD<T> rdd, List<JavaRDD<?>> kept, String step, AttentionPlan plan) {
    describe(step, plan);
    kept.add(rdd.persist(StorageLevel.MEMORY_AND_DISK()));
    rdd.foreachPartition(partition -> partition.forEachRemaining(element -> {}));
  }

  private void describe(String step, AttentionPlan plan) {
    context.setJobDescription(
        "%s: %,d tokens, %s mask, %s over %d shards"
            .formatted(step, plan.tokens(), plan.mask().summary(), plan.exchange(), plan.shards()));
  }

  private static Exchange exchange(AttentionPlan plan) {
    return switch (plan.exchange()) {
      case RING -> new RingExchange();
      case REDUCE -> new ReduceExchange();
      default -> throw new IllegalArgumentException("Not an exchange: " + plan.exchange());
    };
  }

  /** Tasks that the cluster runs at once. */
  private int slots() {
    return Math.max(1, context.defaultParallelism() / taskCpus());
  }

  /** Cores, and so threads, of each task. */
  private int taskCpus() {
    return context.getConf().getInt("spark.task.cpus", 1);
  }

  /** The kernels of the executors' JVMs; more than one where not all run the same. */
  private String kernels(AttentionPlan plan) {
    int slots = slots();
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
    int slots = slots();
    int threads = taskCpus();
    double sum =
        context
            .parallelize(Collections.nCopies(slots, peakSeconds), slots)
            .map(seconds -> AttentionKernels.measurePeak(seconds, threads))
            .reduce(Double::sum);
    return sum / slots;
  }
}

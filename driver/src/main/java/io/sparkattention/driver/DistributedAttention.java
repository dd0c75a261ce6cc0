package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.driver.exchange.AttentionMeter;
import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.exchange.BarrierExchange;
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
    AttentionPlan plan =
        new AttentionPlan(
            input.layout(),
            input.keyValueType(),
            input.sequences(),
            input.pairMask(),
            config,
            slots());
    if (plan.exchange() == ExchangeKind.BARRIER) {
      BarrierExchange.check(plan, context.sc());
    }
    return plan;
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

    List<JavaRDD<?>> kept = new ArrayList<>();
    try (Exchange exchange = exchange(plan)) {
      JavaRDD<PlacedKeyValues> keyValues = input.keyValues(plan);
      JavaRDD<PlacedQueries> queries = input.queries(plan);
      keep(keyValues, kept);
      compute(exchange.owners(plan, keyValues), "read and pack keys and values", plan);
      keep(queries, kept);
      compute(queries, "read and pack queries", plan);

      AttentionMeter meter = new AttentionMeter();
      context.sc().register(meter, "attention");
      JavaRDD<AttentionRows> rows = exchange.attend(plan, queries, keyValues, meter);
      keep(rows, kept);
      try {
        compute(rows, "attention", plan);
      } catch (Throwable e) {
        exchange.explain(e);
        throw e;
      }
      // Read now: rows that are lost later are computed, and metered, again while they are written.
      AttentionMeter.Reading reading = meter.value();

      describe("measure the FMA peak", plan);
      double peak = measurePeak();
      describe("write", plan);
      Optional<JavaRDD<ScoreBlock>> scores =
          plan.scoresOutput().map(stage -> ScoreBlock.of(plan, stage, queries, keyValues, rows));
      output.write(plan, rows, scores);
      int cores = Math.min(plan.shards(), slots()) * taskCpus();
      return AttentionReport.of(plan, reading, cores, peak, kernels(plan));
    } finally {
      kept.forEach(rdd -> rdd.unpersist(false));
      context.setJobDescription(null);
    }
  }

  /**
   * Keeps an RDD once it is computed; a lost partition is computed again from its lineage.
   *
   * @param kept receives the RDD, to be released at the end of the run, however it ends
   */
  private static void keep(JavaRDD<?> rdd, List<JavaRDD<?>> kept) {
    kept.add(rdd.persist(StorageLevel.MEMORY_AND_DISK()));
  }

  /** Computes an RDD now, and what it is made from. */
  private <T> void compute(JavaRDD<T> rdd, String step, AttentionPlan plan) {
    describe(step, plan);
    rdd.foreachPartition(partition -> partition.forEachRemaining(element -> {}));
  }

  private void describe(String step, AttentionPlan plan) {
    context.setJobDescription(
        "%s: %,d tokens, %s mask, %s over %d shards"
            .formatted(step, plan.tokens(), plan.mask().summary(), plan.exchange(), plan.shards()));
  }

  private static Exchange exchange(AttentionPlan plan) {
    return switch (plan.exchange()) {
      case REDUCE -> new ReduceExchange();
      case BARRIER -> new BarrierExchange();
      default -> new RingExchange();
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

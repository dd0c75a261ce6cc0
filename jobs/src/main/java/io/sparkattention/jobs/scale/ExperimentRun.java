package io.sparkattention.jobs.scale;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.AttentionReport;
import io.sparkattention.driver.DistributedAttention;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.OutputDigest;
import io.sparkattention.driver.io.SyntheticInput;
import java.io.IOException;
import java.io.PrintWriter;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs an experiment on the cluster of a session. Repetitions are interleaved: all configurations
 * once, then all again, so that what slows the machine down for a while slows all of them. A
 * configuration that cannot run here is a result too, with the reason.
 */
public final class ExperimentRun {
  private static final Logger LOG = LoggerFactory.getLogger(ExperimentRun.class);

  private final SparkSession spark;
  private final Experiment experiment;
  private final Function<String, String> lists;
  private final ResultsFolder folder;
  private final Cluster cluster;
  private final DistributedAttention attention;
  private final PrintWriter out;

  /**
   * @param lists gives the text of a list that a mask names as {@code @FILE}
   * @param folder opened for this experiment
   * @param label what results and plots call the cluster; null: by its master
   * @param out receives a line for each run
   * @throws InvalidInputException if results of another cluster have this label
   */
  public ExperimentRun(
      SparkSession spark,
      Experiment experiment,
      Function<String, String> lists,
      ResultsFolder folder,
      String label,
      PrintWriter out) {
    this.spark = spark;
    this.experiment = experiment;
    this.lists = lists;
    this.folder = folder;
    this.attention = new DistributedAttention(spark);
    this.out = out;
    JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    this.cluster = Cluster.of(context, label);
    requireSameCluster();
  }

  private void requireSameCluster() {
    for (Result result : folder.results()) {
      String found = result.text("master") + " with " + result.text("slots") + " slots";
      String expected = cluster.master() + " with " + cluster.slots() + " slots";
      if (result.text("cluster").equals(cluster.label()) && !found.equals(expected)) {
        throw new InvalidInputException(
            "Cannot add results of '%s': those that are there are of %s, this is %s; give another --label"
                .formatted(cluster.label(), found, expected));
      }
    }
  }

  /**
   * Runs what is not in the results yet.
   *
   * @return whether all runs of this cluster have a result
   */
  public boolean run() throws IOException {
    List<Configuration> all = experiment.configurations(cluster.slots());
    Set<Run> done = done();
    int total = all.size() * experiment.repetitions();
    int number = 0;
    boolean warm = false;
    boolean complete = true;
    for (int repetition = 1; repetition <= experiment.repetitions(); repetition++) {
      for (Configuration configuration : all) {
        number++;
        if (done.contains(new Run(configuration, repetition))) {
          continue;
        }
        if (!warm) {
          warmUp();
          warm = true;
        }
        Result result = measure(configuration, repetition);
        folder.add(result);
        complete &= result.isDone();
        out.printf("[%d/%d] %s: %s%n", number, total, configuration, outcome(result));
        out.flush();
      }
    }
    return complete;
  }

  private record Run(Configuration configuration, int repetition) {}

  private Set<Run> done() {
    Set<Run> done = new HashSet<>();
    for (Result result : folder.results()) {
      if (result.text("cluster").equals(cluster.label()) && result.isDone()) {
        done.add(new Run(result.configuration(), result.repetition()));
      }
    }
    return done;
  }

  /** A JVM compiles what runs often: the first runs are slower, and are not results. */
  private void warmUp() {
    for (Configuration configuration : experiment.warmUpConfigurations(cluster.slots())) {
      for (int i = 0; i < experiment.warmUps(); i++) {
        try {
          AttentionReport report = attend(configuration, new OutputDigest());
          out.printf(
              Locale.ROOT, "[warm-up] %s: %.2f s%n", configuration, report.attentionSeconds());
          out.flush();
        } catch (Exception e) {
          // The measured run will say why.
          LOG.info("Cannot warm up {}", configuration, e);
        }
      }
    }
  }

  private AttentionReport attend(Configuration configuration, OutputDigest output) {
    Map<Key, String> options = new EnumMap<>(experiment.options());
    options.putAll(configuration.options());
    AttentionConfig config = AttentionConfig.resolve(options, spark.sparkContext().conf(), lists);
    SyntheticInput input =
        new SyntheticInput(
            spark,
            experiment.layout(configuration.heads()),
            configuration.tokens(),
            experiment.seed());
    return attention.run(input, config, output);
  }

  private Result measure(Configuration configuration, int repetition) {
    Map<String, String> values = new LinkedHashMap<>();
    values.put("started", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
    long start = System.nanoTime();
    try {
      OutputDigest output = new OutputDigest();
      values.putAll(Result.valuesOf(attend(configuration, output)));
      values.put("output_sha256", output.hex());
      values.put("status", Result.OK);
    } catch (Exception e) {
      // Not RuntimeException: Scala throws checked ones that the compiler does not expect.
      if (spark.sparkContext().isStopped()) {
        throw e;
      }
      Optional<String> refusal = refusal(e);
      values.put("status", refusal.isPresent() ? Result.SKIPPED : Result.FAILED);
      values.put("reason", refusal.orElseGet(() -> failure(e)));
      if (refusal.isEmpty()) {
        LOG.warn("{} failed", configuration, e);
      }
    }
    values.put("run_seconds", "%.3f".formatted((System.nanoTime() - start) / 1e9));
    putIdentity(values, configuration, repetition);
    return Result.of(values);
  }

  /** Last, since a report has some of these values as the plan resolved them. */
  private void putIdentity(
      Map<String, String> values, Configuration configuration, int repetition) {
    values.put("cluster", cluster.label());
    values.put("master", cluster.master());
    values.put("slots", Integer.toString(cluster.slots()));
    values.put("task_cpus", Integer.toString(cluster.taskCpus()));
    values.put("cpu", cluster.cpu());
    values.put("java", cluster.java());
    values.put("tokens", Long.toString(configuration.tokens()));
    values.put("heads", Integer.toString(configuration.heads()));
    values.put(
        "key_value_heads", Integer.toString(experiment.keyValueHeads(configuration.heads())));
    values.put("head_dim", Integer.toString(experiment.headDim()));
    values.put("mask", configuration.mask());
    values.put("exchange", configuration.exchange());
    values.put("assignment", configuration.assignment());
    values.put("shards", Integer.toString(configuration.shards()));
    values.put("repetition", Integer.toString(repetition));
  }

  /** Why the combination is refused, if that is what happened. */
  private static Optional<String> refusal(Throwable thrown) {
    for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      if (cause instanceof InvalidInputException) {
        return Optional.of(String.valueOf(cause.getMessage()));
      }
    }
    return Optional.empty();
  }

  private static String failure(Throwable thrown) {
    Throwable root = thrown;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    String message = root.getMessage() == null ? "" : root.getMessage().strip();
    String first = message.lines().findFirst().orElse("");
    return root.getClass().getSimpleName() + (first.isEmpty() ? "" : ": " + first);
  }

  private static String outcome(Result result) {
    if (!result.isOk()) {
      return result.text("status") + ": " + result.text("reason");
    }
    return String.format(
        Locale.ROOT,
        "%.2f s, %.1f GFLOP/s",
        result.number("attention_seconds").orElse(0),
        result.number("gflops").orElse(0));
  }
}

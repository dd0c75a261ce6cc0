package io.sparkattention.jobs;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionInput;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.DistributedAttention;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.Workload;
import io.sparkattention.driver.io.ListFiles;
import io.sparkattention.driver.io.ParquetInput;
import io.sparkattention.driver.io.SafetensorsInput;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.ClusterFacts;
import io.sparkattention.partitioning.ClusterFacts.Fact;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.network.util.JavaUtils;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** What attention would take, of an input that is there or of one that is only described. */
@Command(
    name = "plan",
    description = {
      "Predict time, bytes and memory of attention for each exchange, and choose.",
      "Of --input on this cluster, or of --tokens, --heads, --head-dim on any."
    })
final class PlanCommand implements Callable<Integer> {
  private static final long MAX_TOKENS = 1L << 40;
  private static final int MAX_COUNT = 1_000_000;

  @Spec private CommandSpec spec;
  @Mixin private AttentionOptions options;

  @Option(names = "--input", description = "A .safetensors file or a Parquet dataset.")
  private String input;

  @Option(names = "--tokens", paramLabel = "N", description = "Keys of a sequence.")
  private Long tokens;

  @Option(
      names = "--query-tokens",
      paramLabel = "N",
      description = "Queries of a sequence (default: --tokens).")
  private Long queryTokens;

  @Option(
      names = "--sequences",
      paramLabel = "N",
      description = "Sequences of that length (default: 1).")
  private Long sequences;

  @Option(names = "--heads", paramLabel = "N", description = "Query heads.")
  private Long heads;

  @Option(
      names = "--kv-heads",
      paramLabel = "N",
      description = "Key/value heads (default: --heads).")
  private Long keyValueHeads;

  @Option(names = "--head-dim", paramLabel = "N", description = "Elements of a query, key, value.")
  private Long headDim;

  @Option(
      names = "--executors",
      paramLabel = "N",
      description = "Executors (default: this cluster's, without --input those of --facts).")
  private Long executors;

  @Option(
      names = "--cores",
      paramLabel = "N",
      description = "Cores of an executor (default: likewise).")
  private Long cores;

  @Option(
      names = "--memory",
      paramLabel = "SIZE",
      description = "Heap of an executor, such as 16g (default: likewise).")
  private String memory;

  @Override
  public Integer call() {
    AttentionPlan plan = input == null ? ofDescription() : ofInput();
    spec.commandLine().getOut().print(plan.explain());
    return 0;
  }

  private AttentionPlan ofInput() {
    refuse("--tokens", tokens);
    refuse("--query-tokens", queryTokens);
    refuse("--sequences", sequences);
    refuse("--heads", heads);
    refuse("--kv-heads", keyValueHeads);
    refuse("--head-dim", headDim);
    AttendCommand.requirePath("--input", input);
    SparkSession spark = Sessions.openWhole("plan");
    AttentionConfig config =
        config(spark.sparkContext().conf(), spark.sparkContext().hadoopConfiguration());
    AttentionInput from =
        input.endsWith(AttendCommand.SAFETENSORS)
            ? SafetensorsInput.open(spark, input, config)
            : ParquetInput.open(spark, input, config);
    return new AttentionPlan(
        Workload.of(from, config), config, cluster(new DistributedAttention(spark).facts(config)));
  }

  private static void refuse(String option, Object value) {
    if (value != null) {
      throw new InvalidInputException(
          "Cannot use %s beside --input: found '%s', expected what the input says; leave one of them away"
              .formatted(option, value));
    }
  }

  /** Nothing is asked of a cluster, so that none is started. */
  private AttentionPlan ofDescription() {
    AttentionConfig config = config(new SparkConf(), new Configuration());
    long keys = required("--tokens", tokens, MAX_TOKENS);
    long queries = queryTokens == null ? keys : required("--query-tokens", queryTokens, MAX_TOKENS);
    int count = sequences == null ? 1 : (int) required("--sequences", sequences, MAX_COUNT);
    Workload workload =
        new Workload(
            layout(),
            ElementType.F32,
            List.copyOf(Collections.nCopies(count, new SequenceShape("planned", 0, queries, keys))),
            Optional.empty(),
            config);
    return new AttentionPlan(workload, config, cluster(config.facts()));
  }

  private HeadLayout layout() {
    int queryHeads = (int) required("--heads", heads, MAX_COUNT);
    int shared =
        keyValueHeads == null
            ? queryHeads
            : (int) required("--kv-heads", keyValueHeads, queryHeads);
    int dim = (int) required("--head-dim", headDim, HeadLayout.MAX_HEAD_DIM);
    if (queryHeads % shared != 0) {
      throw new InvalidInputException(
          "Invalid --kv-heads: found %d, expected a divisor of the %d of --heads"
              .formatted(shared, queryHeads));
    }
    return new HeadLayout(queryHeads, shared, dim, dim);
  }

  private static long required(String option, Long value, long most) {
    if (value == null) {
      throw new InvalidInputException(
          "Missing %s: found neither --input nor it, expected an input or --tokens, --heads and --head-dim"
              .formatted(option));
    }
    if (value < 1 || value > most) {
      throw new InvalidInputException(
          "Invalid %s: found '%d', expected a whole number from 1 to %d"
              .formatted(option, value, most));
    }
    return value;
  }

  private AttentionConfig config(SparkConf conf, Configuration hadoop) {
    return AttentionConfig.resolve(options.byKey(), conf, ListFiles.from(hadoop));
  }

  /** The facts with what the options say of the cluster. */
  private ClusterFacts cluster(ClusterFacts known) {
    ClusterFacts facts = known;
    if (executors != null) {
      facts = facts.with(Fact.EXECUTORS, required("--executors", executors, MAX_COUNT));
    }
    if (cores != null) {
      facts = facts.with(Fact.CORES, required("--cores", cores, MAX_COUNT));
    }
    if (memory != null) {
      facts = facts.with(Fact.MEMORY, gibibytes());
    }
    return facts;
  }

  private double gibibytes() {
    try {
      long bytes = JavaUtils.byteStringAsBytes(memory);
      if (bytes >= 1 << 20) {
        return (double) bytes / (1L << 30);
      }
    } catch (IllegalArgumentException e) {
      throw invalidMemory(e);
    }
    throw invalidMemory(null);
  }

  private InvalidInputException invalidMemory(Exception cause) {
    return new InvalidInputException(
        "Invalid --memory: found '%s', expected a size such as 512m or 16g, at least 1m"
            .formatted(memory),
        cause);
  }
}

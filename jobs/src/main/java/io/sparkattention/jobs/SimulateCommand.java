package io.sparkattention.jobs;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.Workload;
import io.sparkattention.driver.io.ListFiles;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.ClusterFacts;
import io.sparkattention.partitioning.ClusterFacts.Fact;
import io.sparkattention.partitioning.HeadSizes;
import io.sparkattention.partitioning.ScalingTables;
import io.sparkattention.partitioning.Simulation.Trouble;
import java.io.PrintWriter;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.network.util.JavaUtils;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Scaling of a described cluster; nothing runs on the one at hand, and no session is opened. */
@Command(
    name = "simulate",
    description = {
      "Simulate attention on a described cluster of any size: strong and weak scaling.",
      "Nothing is measured; every table says so."
    })
final class SimulateCommand implements Callable<Integer> {
  /** A ring is the square of them in events: a minute or so. */
  private static final int MAX_EXECUTORS = 20_000;

  private static final int MAX_HEADS = 65_536;
  private static final long MAX_TOKENS = 1L << 40;

  @Spec private CommandSpec spec;

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "100000000",
      description = "Of one sequence, strong scaling (default: ${DEFAULT-VALUE}).")
  private long tokens;

  @Option(
      names = "--tokens-per-executor",
      paramLabel = "N",
      description =
          "Weak scaling (default: --tokens over the most executors, rounded up to whole blocks).")
  private Long tokensPerExecutor;

  @Option(
      names = "--executors",
      paramLabel = "N",
      split = ",",
      defaultValue = "1,10,100,1000,10000",
      description = "Numbers of executors (default: ${DEFAULT-VALUE}).")
  private List<Integer> executors;

  @Option(
      names = "--heads",
      paramLabel = "N",
      defaultValue = "8",
      description = "Query heads (default: ${DEFAULT-VALUE}).")
  private int heads;

  @Option(
      names = "--kv-heads",
      paramLabel = "N",
      description = "Key/value heads (default: --heads).")
  private Integer keyValueHeads;

  @Option(
      names = "--head-dim",
      paramLabel = "N",
      defaultValue = "64",
      description = "Elements of a query, key, value (default: ${DEFAULT-VALUE}).")
  private int headDim;

  @Option(names = "--mask", description = "Which keys a query sees, as in attend (default: full).")
  private String mask;

  @Option(
      names = "--assignment",
      description =
          "contiguous, zigzag, striped or balanced (default: balanced where blocks differ in work).")
  private String assignment;

  @Option(names = "--block-tokens", description = "Tokens of a block (default: 2048).")
  private String blockTokens;

  @Option(names = "--key-value-type", description = "f32, bf16 or f16 (default: f32).")
  private String keyValueType;

  @Option(
      names = "--facts",
      paramLabel = "FILE",
      description =
          "What calibrate wrote of an executor and its network (default: 100 GFLOP/s a core,"
              + " 1 GB/s; README.md).")
  private String facts;

  @Option(
      names = "--cores",
      paramLabel = "N",
      description = "Cores of an executor (default: of --facts, else 16).")
  private Integer cores;

  @Option(
      names = "--memory",
      paramLabel = "SIZE",
      description = "Heap of an executor, such as 64g (default: of --facts, else 64g).")
  private String memory;

  @Option(
      names = "--stragglers",
      paramLabel = "SHARE,FACTOR",
      description = "That share of the executors computes slower by FACTOR: 0.01,2.")
  private String stragglers;

  @Option(
      names = "--lost",
      paramLabel = "N",
      defaultValue = "0",
      description = "Executors that are lost in each run (default: ${DEFAULT-VALUE}).")
  private int lost;

  @Option(
      names = "--detect-seconds",
      paramLabel = "X",
      defaultValue = "10",
      description = "From a loss to a replaced executor (default: ${DEFAULT-VALUE}).")
  private double detectSeconds;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Of which are slow and lost, and when (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Override
  public Integer call() {
    AttentionConfig config =
        AttentionConfig.resolve(options(), new SparkConf(), ListFiles.from(new Configuration()));
    executors.forEach(count -> require("--executors", count, MAX_EXECUTORS));
    require("--tokens", tokens, MAX_TOKENS);
    long most = Collections.max(executors);
    long each = tokensPerExecutor == null ? wholeBlocks(most, config) : tokensPerExecutor;
    require("--tokens-per-executor", each, MAX_TOKENS / most);
    // Refuses what attend refuses.
    check(tokens, config);
    check(each * most, config);

    ScalingTables tables =
        new ScalingTables(
            facts(config),
            sizes(config),
            config.mask(),
            assignment(config),
            config.blockTokens(),
            trouble());
    PrintWriter out = spec.commandLine().getOut();
    out.println(tables.legend());
    out.println(tables.strong(tokens, executors));
    out.print(tables.weak(each, executors));
    return 0;
  }

  private Map<Key, String> options() {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.KEY_VALUE_TYPE, keyValueType == null ? "f32" : keyValueType);
    if (mask != null) {
      options.put(Key.MASK, mask);
    }
    if (assignment != null) {
      options.put(Key.ASSIGNMENT, assignment);
    }
    if (blockTokens != null) {
      options.put(Key.BLOCK_TOKENS, blockTokens);
    }
    if (facts != null) {
      options.put(Key.FACTS, facts);
    }
    return options;
  }

  private static void require(String option, long value, long most) {
    if (value < 1 || value > most) {
      throw new InvalidInputException(
          "Invalid %s: found %d, expected a whole number from 1 to %d"
              .formatted(option, value, most));
    }
  }

  private long wholeBlocks(long ranks, AttentionConfig config) {
    long block = config.blockTokens();
    long each = (tokens + ranks - 1) / ranks;
    return (each + block - 1) / block * block;
  }

  private void check(long length, AttentionConfig config) {
    SequenceShape shape = new SequenceShape("simulated", 0, length, length);
    new Workload(layout(), ElementType.F32, List.of(shape), Optional.empty(), config);
  }

  private HeadLayout layout() {
    require("--heads", heads, MAX_HEADS);
    require("--head-dim", headDim, MAX_HEADS);
    int shared = keyValueHeads == null ? heads : keyValueHeads;
    require("--kv-heads", shared, heads);
    if (heads % shared != 0) {
      throw new InvalidInputException(
          "Invalid --kv-heads: found %d, expected a divisor of --heads %d"
              .formatted(shared, heads));
    }
    return new HeadLayout(heads, shared, headDim, headDim);
  }

  private HeadSizes sizes(AttentionConfig config) {
    HeadLayout layout = layout();
    ElementType type = config.keyValueType().orElse(ElementType.F32);
    return new HeadSizes(
        layout.numHeads(), layout.numKeyValueHeads(), headDim, headDim, type.bytes());
  }

  private static BlockAssignment assignment(AttentionConfig config) {
    BlockAssignment byMask =
        config.mask().unequalWork() ? BlockAssignment.BALANCED : BlockAssignment.CONTIGUOUS;
    return config.assignment().orElse(byMask);
  }

  private ClusterFacts facts(AttentionConfig config) {
    ClusterFacts given = config.facts();
    if (facts == null) {
      given = given.with(Fact.CORES, 16).with(Fact.MEMORY, 64);
    }
    if (cores != null) {
      require("--cores", cores, 1_000_000);
      given = given.with(Fact.CORES, cores);
    }
    return memory == null ? given : given.with(Fact.MEMORY, gibibytes());
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
        "Invalid --memory: found '%s', expected a size such as 512m or 64g, at least 1m"
            .formatted(memory),
        cause);
  }

  private Trouble trouble() {
    double share = 0;
    double factor = 1;
    try {
      if (stragglers != null) {
        String[] parts = stragglers.split(",", -1);
        if (parts.length != 2) {
          throw new IllegalArgumentException(stragglers);
        }
        share = Double.parseDouble(parts[0]);
        factor = Double.parseDouble(parts[1]);
        new Trouble(share, factor, 0, 0, 0);
      }
    } catch (IllegalArgumentException e) {
      throw new InvalidInputException(
          "Invalid --stragglers: found '%s', expected SHARE,FACTOR with a share from 0 to 1 and a factor from 1 to 1e6, such as 0.01,2"
              .formatted(stragglers),
          e);
    }
    if (lost < 0 || !(detectSeconds >= 0 && detectSeconds <= 1e6)) {
      throw new InvalidInputException(
          "Invalid --lost or --detect-seconds: found %d and %s, expected a whole number from 0 and seconds from 0 to 1e6"
              .formatted(lost, detectSeconds));
    }
    return new Trouble(share, factor, lost, detectSeconds, seed);
  }
}

package io.sparkattention.jobs;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.AttentionInput;
import io.sparkattention.driver.AttentionOutput;
import io.sparkattention.driver.AttentionReport;
import io.sparkattention.driver.DistributedAttention;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.ListFiles;
import io.sparkattention.driver.io.ParquetInput;
import io.sparkattention.driver.io.ParquetOutput;
import io.sparkattention.driver.io.SafetensorsInput;
import io.sparkattention.driver.io.SafetensorsOutput;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Attention of the queries, keys and values in a safetensors file or a Parquet dataset. */
@Command(
    name = "attend",
    description = "Exact attention of queries, keys and values, from file to file.")
final class AttendCommand implements Callable<Integer> {
  private static final String SAFETENSORS = ".safetensors";

  @Spec private CommandSpec spec;

  @Option(
      names = "--input",
      required = true,
      description = "A .safetensors file with query, key, value; else a Parquet dataset.")
  private String input;

  @Option(
      names = "--output",
      required = true,
      description = "A .safetensors file, or the folder of a Parquet dataset.")
  private String output;

  @Option(names = "--overwrite", description = "Replace an existing output.")
  private boolean overwrite;

  @Option(
      names = "--mask",
      description = {
        "Which keys a query sees (default: full):",
        "full, causal, prefix:N, sinks:N, global:N,",
        "sliding-window:LEFT[,RIGHT],",
        "dilated-window:LEFT,STEP[,RIGHT],",
        "documents:LENGTH,..., global-positions:POS,...,",
        "block-sparse:SIZE,QUERY-KEY,...,",
        "random-blocks:COUNT,SEED[,SIZE[,BLOCKS]],",
        "bigbird:WINDOW,N,COUNT,SEED[,SIZE[,BLOCKS]],",
        "block-top-k:COUNT[,SIZE] (approximate),",
        "streaming:N,WINDOW;",
        "joined by & (both) or | (either), in parentheses.",
        "@FILE in place of a list reads it from a file.",
        "Without BLOCKS random blocks are the query's own or earlier ones: a bidirectional model"
            + " needs BLOCKS, a sequence's tokens / SIZE (64), rounded up."
      })
  private String mask;

  @Option(
      names = "--causal-alignment",
      description = "top-left or bottom-right: where the diagonal starts (default: top-left).")
  private String causalAlignment;

  @Option(names = "--scale", description = "Factor of the scores (default: 1/sqrt(headDim)).")
  private String scale;

  @Option(
      names = "--softcap",
      paramLabel = "X",
      description = "Scores become X * tanh(score / X), before biases and mask.")
  private String softcap;

  @Option(
      names = "--alibi",
      paramLabel = "SLOPES",
      description = {
        "Bias -slope * |query + offset - key|:",
        "auto (the published slopes), one per query head, or @FILE."
      })
  private String alibi;

  @Option(
      names = "--relative-bias",
      paramLabel = "KIND,MAX,WEIGHTS",
      description = {
        "T5's bias by buckets of distances: bidirectional or causal,",
        "the largest distance, [buckets, heads] numbers or @FILE."
      })
  private String relativeBias;

  @Option(
      names = "--sinks",
      paramLabel = "LOGITS",
      description = "Logit of a further key without value: one per query head, one, or @FILE.")
  private String sinks;

  @Option(
      names = "--dropout",
      paramLabel = "P",
      description = "Drop weights with probability P, the others times 1/(1-P).")
  private String dropout;

  @Option(
      names = "--seed",
      description = "Of --dropout, which depends on it, head and positions alone (default: 0).")
  private String seed;

  @Option(names = "--num-heads", description = "Query heads, where the shape does not tell.")
  private String numHeads;

  @Option(names = "--num-kv-heads", description = "Key/value heads (default: --num-heads).")
  private String numKvHeads;

  @Option(names = "--exchange", description = "auto, ring, barrier or reduce (default: auto).")
  private String exchange;

  @Option(
      names = "--assignment",
      description =
          "contiguous, zigzag, striped or balanced (default: balanced where blocks differ in work).")
  private String assignment;

  @Option(names = "--block-tokens", description = "Tokens of a block (default: 2048).")
  private String blockTokens;

  @Option(names = "--shards", description = "Number of shards (default: the task slots).")
  private String shards;

  @Option(
      names = "--key-value-type",
      description =
          "auto, f32, bf16 or f16: how keys and values are held (default: auto, without loss).")
  private String keyValueType;

  @Option(names = "--kernel", description = "auto, vector or scalar (default: auto).")
  private String kernel;

  @Option(
      names = "--scores-output",
      paramLabel = "MODE",
      description = {
        "Write scores, too, as qk_matmul_output: 0 scaled, 1 after softcap,",
        "2 after mask and bias, 3 after softmax. For small inputs."
      })
  private String scoresOutput;

  @Option(names = "--dry-run", description = "Print the plan and stop.")
  private boolean dryRun;

  @Option(names = "--report", paramLabel = "DIR", description = "Leave DIR/report.json.")
  private String report;

  @Option(names = "--queries", hidden = true)
  private String queries;

  @Override
  public Integer call() throws Exception {
    refuse("--queries", queries);
    requirePath("--input", input);
    requirePath("--output", output);
    requirePath("--report", report);
    SparkSession spark = Sessions.open("attend");
    AttentionConfig config =
        AttentionConfig.resolve(
            options(),
            spark.sparkContext().conf(),
            ListFiles.from(spark.sparkContext().hadoopConfiguration()));
    ReportFolder reports = new ReportFolder(report, spark);
    DistributedAttention attention = new DistributedAttention(spark);
    if (input.endsWith(SAFETENSORS)) {
      SafetensorsInput tensors = SafetensorsInput.open(spark, input, config);
      run(attention, tensors, config, output(spark, tensors), reports);
    } else {
      ParquetInput table = ParquetInput.open(spark, input, config);
      run(attention, table, config, output(spark, table), reports);
    }
    return 0;
  }

  private static void refuse(String option, String value) {
    if (value != null) {
      throw new InvalidInputException("Cannot use " + option + ": not supported yet");
    }
  }

  private static void requirePath(String option, String text) {
    try {
      if (text != null) {
        new Path(text);
      }
    } catch (IllegalArgumentException e) {
      throw new InvalidInputException(
          "Invalid %s: found '%s', expected a path such as folder/name or hdfs://host/name"
              .formatted(option, text),
          e);
    }
  }

  private Map<Key, String> options() {
    Map<Key, String> options = new EnumMap<>(Key.class);
    put(options, Key.MASK, mask);
    put(options, Key.CAUSAL_ALIGNMENT, causalAlignment);
    put(options, Key.SCALE, scale);
    put(options, Key.SOFTCAP, softcap);
    put(options, Key.ALIBI, alibi);
    put(options, Key.RELATIVE_BIAS, relativeBias);
    put(options, Key.SINKS, sinks);
    put(options, Key.DROPOUT, dropout);
    put(options, Key.SEED, seed);
    put(options, Key.NUM_HEADS, numHeads);
    put(options, Key.NUM_KV_HEADS, numKvHeads);
    put(options, Key.EXCHANGE, exchange);
    put(options, Key.ASSIGNMENT, assignment);
    put(options, Key.BLOCK_TOKENS, blockTokens);
    put(options, Key.SHARDS, shards);
    put(options, Key.KEY_VALUE_TYPE, keyValueType);
    put(options, Key.KERNEL, kernel);
    put(options, Key.SCORES_OUTPUT, scoresOutput);
    return options;
  }

  private static void put(Map<Key, String> options, Key key, String value) {
    if (value != null) {
      options.put(key, value);
    }
  }

  private AttentionOutput output(SparkSession spark, SafetensorsInput from) {
    return output.endsWith(SAFETENSORS)
        ? SafetensorsOutput.like(from, spark, output, overwrite)
        : new ParquetOutput(spark, output, overwrite, DataTypes.LongType);
  }

  private AttentionOutput output(SparkSession spark, ParquetInput from) {
    return output.endsWith(SAFETENSORS)
        ? SafetensorsOutput.ofTable(spark, output, overwrite)
        : new ParquetOutput(spark, output, overwrite, from.sequenceIdType());
  }

  private void run(
      DistributedAttention attention,
      AttentionInput from,
      AttentionConfig config,
      AttentionOutput to,
      ReportFolder reports)
      throws Exception {
    if (dryRun) {
      spec.commandLine().getOut().print(attention.plan(from, config));
      return;
    }
    AttentionReport result = attention.run(from, config, to);
    reports.write(result);
    spec.commandLine()
        .getOut()
        .printf(
            "%s: %,d tokens, %.1f s attention, %.1f GFLOP/s%n",
            output, result.tokens(), result.attentionSeconds(), result.gflops());
  }
}

package io.sparkattention.jobs;

import io.sparkattention.driver.AttentionConfig;
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
import java.util.concurrent.Callable;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Attention of the queries, keys and values in a safetensors file or a Parquet dataset. */
@Command(
    name = "attend",
    description = "Exact attention of queries, keys and values, from file to file.")
final class AttendCommand implements Callable<Integer> {
  static final String SAFETENSORS = ".safetensors";

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

  @Mixin private AttentionOptions options;

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
            options.byKey(),
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

  static void requirePath(String option, String text) {
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
      spec.commandLine().getOut().print(attention.plan(from, config).explain());
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

package io.sparkattention.jobs;

import io.sparkattention.driver.model.Positions;
import io.sparkattention.driver.model.TextProjection;
import java.util.concurrent.Callable;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** A text to the queries, keys and values of a trained encoder's first layer. */
@Command(
    name = "project",
    description = "Text to queries, keys and values of a trained encoder's first layer.")
final class ProjectCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--text", required = true, description = "A UTF-8 file of any length.")
  private String text;

  @Option(
      names = "--model",
      defaultValue = BundledFiles.DEFAULT_MODEL,
      description = "A bundled model's name or a model's folder (default: ${DEFAULT-VALUE}).")
  private String model;

  @Option(names = "--output", required = true, description = "The folder of a Parquet dataset.")
  private String output;

  @Option(names = "--overwrite", description = "Replace an existing output.")
  private boolean overwrite;

  @Option(
      names = "--positions",
      defaultValue = "error",
      description =
          "Past the model's positions: error, or wrap to use them again (default:"
              + " ${DEFAULT-VALUE}).")
  private String positions;

  @Override
  public Integer call() {
    Positions policy = Positions.parse(positions);
    String folder = BundledFiles.model(model);
    SparkSession spark = Sessions.open("project");
    long tokens = TextProjection.run(spark, text, folder, policy, output, overwrite);
    spec.commandLine().getOut().printf("%s: %,d tokens%n", output, tokens);
    return 0;
  }
}

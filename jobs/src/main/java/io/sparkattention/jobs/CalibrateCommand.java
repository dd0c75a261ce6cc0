package io.sparkattention.jobs;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.calibrate.Calibration;
import io.sparkattention.driver.io.OutputPath;
import io.sparkattention.partitioning.ClusterFacts;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Callable;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures the running cluster for the planner. */
@Command(
    name = "calibrate",
    description = {
      "Measure kernel, network, disks and scheduling of this cluster, in under a minute,",
      "for --facts of plan and attend. Nothing else should run meanwhile."
    })
final class CalibrateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--output", required = true, description = "A properties file.")
  private String output;

  @Option(names = "--overwrite", description = "Replace an existing output.")
  private boolean overwrite;

  @Option(
      names = "--seconds",
      defaultValue = "1",
      description = "For each shape of the kernel, 0.01 to 60 (default: ${DEFAULT-VALUE}).")
  private double seconds;

  @Override
  public Integer call() throws IOException {
    AttendCommand.requirePath("--output", output);
    // Not the opposite comparison: NaN is refused too.
    if (!(seconds >= 0.01 && seconds <= 60)) {
      throw new InvalidInputException(
          "Invalid --seconds: found '%s', expected a number from 0.01 to 60".formatted(seconds));
    }
    SparkSession spark = Sessions.openWhole("calibrate");
    Path file = new Path(output);
    FileSystem files = OutputPath.fileSystem(file, spark.sparkContext().hadoopConfiguration());
    if (files.exists(file) && (!overwrite || files.getFileStatus(file).isDirectory())) {
      throw new InvalidInputException(
          "Cannot write --output '%s': it exists; give --overwrite or another file"
              .formatted(output));
    }
    ClusterFacts facts = new Calibration(spark, seconds).measure();
    try (OutputStream out = files.create(file, overwrite)) {
      out.write(facts.toString().getBytes(StandardCharsets.UTF_8));
    }
    spec.commandLine().getOut().print(facts);
    return 0;
  }
}

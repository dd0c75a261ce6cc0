package io.sparkattention.jobs;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.ListFiles;
import io.sparkattention.jobs.scale.Experiment;
import io.sparkattention.jobs.scale.ExperimentRun;
import io.sparkattention.jobs.scale.ResultsFolder;
import io.sparkattention.jobs.scale.ScalePage;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.function.Function;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import scala.Tuple2;

/** A matrix of attention runs on this cluster, with a table of results and a page of plots. */
@Command(
    name = "scale",
    description = "Measures a matrix of configurations on this cluster: CSV and a page of plots.")
final class ScaleCommand implements Callable<Integer> {
  private static final int MAX_LABEL = 60;

  @Spec private CommandSpec spec;

  @Option(
      names = "--experiment",
      required = true,
      description = "A file of Java properties: lengths, heads, masks, shards, exchanges, ...")
  private Path file;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "Local folder of results.csv and index.html; what is there is not run again.")
  private String output;

  @Option(names = "--label", description = "What results call this cluster (default: its master).")
  private String label;

  @Option(names = "--restart", description = "Delete the results that are there.")
  private boolean restart;

  @Override
  public Integer call() throws IOException {
    checkLabel();
    // Read before Spark starts, so that a mistake shows at once.
    Function<String, String> lists = ListFiles.from(hadoop());
    Experiment experiment = Experiment.read(file, lists);
    try (ResultsFolder folder = ResultsFolder.open(output, experiment, restart)) {
      SparkSession spark = Sessions.openWhole("scale");
      PrintWriter out = spec.commandLine().getOut();
      boolean complete;
      try {
        complete = new ExperimentRun(spark, experiment, lists, folder, label, out).run();
      } finally {
        folder.writePage(ScalePage.of(experiment, folder).html());
      }
      return conclude(ScalePage.of(experiment, folder), complete);
    }
  }

  /** What Spark will make of its own settings for Hadoop. */
  private static Configuration hadoop() {
    Configuration hadoop = new Configuration();
    for (Tuple2<String, String> entry : new SparkConf().getAllWithPrefix("spark.hadoop.")) {
      hadoop.set(entry._1(), entry._2());
    }
    return hadoop;
  }

  private void checkLabel() {
    if (label != null
        && (label.isBlank()
            || label.length() > MAX_LABEL
            || label.chars().anyMatch(Character::isISOControl))) {
      throw new InvalidInputException(
          "Invalid --label: found '%s', expected 1 to %d printable characters; shorten it"
              .formatted(label.strip(), MAX_LABEL));
    }
  }

  private int conclude(ScalePage page, boolean complete) {
    PrintWriter out = spec.commandLine().getOut();
    if (!page.isEmpty()) {
      out.printf("%n%s%n", page.table());
    }
    page.reasons().forEach(reason -> out.printf("Without a result: %s%n", reason));
    out.printf("Results: %s, page: %s%n", path("results.csv"), path("index.html"));
    out.flush();
    String failure = failure(page, complete);
    if (failure == null) {
      return 0;
    }
    PrintWriter err = spec.commandLine().getErr();
    err.println("error: " + failure);
    err.flush();
    return Failure.RUN_FAILED;
  }

  /** Null: none. */
  private String failure(ScalePage page, boolean complete) {
    if (!page.sameBits()) {
      return "Runs of the same workload gave different bits: column output_sha256 of '%s' tells which, expected one for each workload and length; report it"
          .formatted(path("results.csv"));
    }
    if (!complete) {
      return "Some runs failed: column reason of '%s' tells why; run the same command to try them again"
          .formatted(path("results.csv"));
    }
    return page.isEmpty() ? "No configuration could run here: " + page.reasons().get(0) : null;
  }

  private Path path(String name) {
    return Path.of(output, name);
  }
}

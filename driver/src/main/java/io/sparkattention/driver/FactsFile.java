package io.sparkattention.driver;

import io.sparkattention.partitioning.ClusterFacts;
import java.io.IOException;
import java.io.StringReader;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.function.Function;
import org.apache.spark.SparkConf;
import scala.Tuple2;

/**
 * Facts of a cluster from the file that {@code calibrate} wrote, and from Spark's configuration.
 */
final class FactsFile {
  private final Function<String, String> files;
  private String source = "defaults, not measured";

  /**
   * @param files gives the text of a file
   */
  FactsFile(Function<String, String> files) {
    this.files = files;
  }

  /**
   * The defaults with what a file says.
   *
   * @throws InvalidInputException if the file cannot be read, is no properties file, holds nothing
   *     or something else than facts
   */
  ClusterFacts read(String path) {
    Properties properties = new Properties();
    try {
      properties.load(new StringReader(files.apply(path)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InvalidInputException | IllegalArgumentException e) {
      throw invalid(path, e.getMessage(), e);
    }
    Map<String, String> byName = new TreeMap<>();
    properties
        .stringPropertyNames()
        .forEach(name -> byName.put(name, properties.getProperty(name)));
    if (byName.isEmpty()) {
      throw invalid(
          path, "found no facts, expected lines " + ClusterFacts.PREFIX + "NAME=NUMBER", null);
    }
    try {
      source = path;
      return ClusterFacts.defaults().with(byName);
    } catch (IllegalArgumentException e) {
      throw invalid(path, e.getMessage(), e);
    }
  }

  private static InvalidInputException invalid(String path, String reason, Exception cause) {
    return new InvalidInputException(
        "Invalid facts file '%s': %s; write it with calibrate".formatted(path, reason), cause);
  }

  /** Facts with those that a configuration names one by one. */
  ClusterFacts with(ClusterFacts facts, SparkConf conf) {
    Map<String, String> byName = new TreeMap<>();
    for (Tuple2<String, String> entry : conf.getAllWithPrefix(ClusterFacts.PREFIX)) {
      byName.put(ClusterFacts.PREFIX + entry._1(), entry._2());
    }
    try {
      source += byName.isEmpty() ? "" : " and Spark's configuration";
      return facts.with(byName);
    } catch (IllegalArgumentException e) {
      throw new InvalidInputException(e.getMessage(), e);
    }
  }

  /** Where the facts come from. */
  String source() {
    return source;
  }
}

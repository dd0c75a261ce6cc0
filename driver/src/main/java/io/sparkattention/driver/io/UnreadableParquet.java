package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.hadoop.fs.ChecksumException;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.UnsupportedFileSystemException;
import org.apache.spark.SparkThrowable;

/** Why Spark could not read a Parquet dataset, without Spark's own wording. */
final class UnreadableParquet {
  private static final List<String> DECODERS = List.of("org.apache.parquet.", "org.xerial.snappy.");

  private UnreadableParquet() {}

  /**
   * What Spark's error means to whoever gave the path.
   *
   * @return empty where it is not the dataset that is wrong
   */
  static Optional<InvalidInputException> explain(String path, Throwable thrown) {
    return reason(thrown)
        .map(
            reason ->
                new InvalidInputException(
                    "Cannot read '%s' as a Parquet dataset: %s".formatted(path, reason), thrown));
  }

  private static Optional<String> reason(Throwable thrown) {
    // A chain of causes may be circular.
    Set<Throwable> seen = Collections.newSetFromMap(new IdentityHashMap<>());
    String file = "a file in it";
    for (Throwable cause = thrown; cause != null && seen.add(cause); cause = cause.getCause()) {
      if (cause instanceof UnsupportedFileSystemException) {
        return Optional.of("unknown file system; check what stands before '://'");
      }
      if (cause instanceof ChecksumException || thrownByDecoder(cause)) {
        return Optional.of(damaged(file));
      }
      if (cause instanceof SparkThrowable spark && spark.getCondition() != null) {
        Map<String, String> parameters = spark.getMessageParameters();
        // Two ways to write a local file's URI; Hadoop's is the shorter.
        String path = parameters.getOrDefault("path", "");
        file = path.isEmpty() ? file : "'" + new Path(path) + "'";
        String reason = reason(spark.getCondition(), file, parameters);
        if (reason != null) {
          return Optional.of(reason);
        }
      }
    }
    return Optional.empty();
  }

  /** Whether the bytes were there but made no sense. */
  private static boolean thrownByDecoder(Throwable cause) {
    StackTraceElement[] trace = cause.getStackTrace();
    return trace.length > 0
        && DECODERS.stream().anyMatch(name -> trace[0].getClassName().startsWith(name));
  }

  private static String damaged(String file) {
    return "found " + file + " cut off, damaged or no Parquet; write it again";
  }

  /** By the names of Spark's error conditions, which are more stable than its sentences. */
  private static String reason(String condition, String file, Map<String, String> parameters) {
    return switch (condition) {
      case "PATH_NOT_FOUND" -> "no such file or folder; check the path";
      case "UNABLE_TO_INFER_SCHEMA" ->
          "found no Parquet files in it, expected at least one; check the path";
      case "FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER" -> damaged(file);
      case "FAILED_READ_FILE.PARQUET_COLUMN_DATA_TYPE_MISMATCH" ->
          "found type %s in column '%s' of %s, expected %s as in its other files; cast it"
              .formatted(
                  parameters.get("actualType").toLowerCase(Locale.ROOT),
                  column(parameters.get("column")),
                  file,
                  parameters.get("expectedType"));
      default -> null;
    };
  }

  /** The column's own name, from a list such as {@code [query, list, element]}. */
  private static String column(String nested) {
    return nested.replaceAll("[\\[\\]]", "").split(",", 2)[0];
  }
}

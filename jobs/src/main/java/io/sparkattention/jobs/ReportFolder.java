package io.sparkattention.jobs;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.sparkattention.driver.AttentionReport;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.OutputPath;
import java.io.IOException;
import java.io.OutputStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;

/** The folder of {@code --report}; nothing is written where none was asked for. */
final class ReportFolder {
  private static final ObjectMapper JSON =
      new ObjectMapper()
          .setPropertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .enable(SerializationFeature.INDENT_OUTPUT);

  private final Path folder;
  private final Configuration conf;

  /**
   * @param folder null: no report
   * @throws InvalidInputException if the path is a file
   */
  ReportFolder(String folder, SparkSession spark) throws IOException {
    this.folder = folder == null ? null : new Path(folder);
    this.conf = spark.sparkContext().hadoopConfiguration();
    if (folder != null && files().isFile(this.folder)) {
      throw new InvalidInputException(
          "Cannot write --report '"
              + folder
              + "': it is a file, expected a folder; choose another");
    }
  }

  /** Writes {@code report.json}, replacing an earlier one. */
  void write(AttentionReport report) throws IOException {
    if (folder != null) {
      try (OutputStream out = files().create(new Path(folder, "report.json"), true)) {
        out.write(JSON.writeValueAsBytes(report));
      }
    }
  }

  private FileSystem files() throws IOException {
    return OutputPath.fileSystem(folder, conf);
  }
}

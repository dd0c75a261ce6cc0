package io.sparkattention.jobs;

import io.sparkattention.driver.model.HeadLinks;
import io.sparkattention.driver.model.HeadLinks.HeadLink;
import io.sparkattention.driver.model.HeadStatistics;
import io.sparkattention.driver.model.HeadStatisticsTable;
import io.sparkattention.driver.model.TokenLink;
import io.sparkattention.jobs.scale.Csv;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** The files that {@code links} leaves in its output folder. */
final class LinksFolder {
  static final List<String> LINK_COLUMNS =
      List.of("layer", "head", "from_position", "from_token", "to_position", "to_token", "weight");

  static final List<String> HEAD_COLUMNS =
      List.of("rank", "layer", "head", "weight", "rival_weight", "average_weight");

  private final Path folder;
  private final SparkSession spark;

  LinksFolder(String folder, SparkSession spark) {
    this.folder = new Path(folder);
    this.spark = spark;
  }

  static List<List<String>> linkRecords(List<TokenLink> links) {
    return links.stream().map(LinksFolder::record).toList();
  }

  private static List<String> record(TokenLink link) {
    return texts(
        link.layer(),
        link.head(),
        link.fromPosition(),
        link.fromToken(),
        link.toPosition(),
        link.toToken(),
        link.weight());
  }

  static List<List<String>> headRecords(HeadLinks ranking) {
    return ranking.ranked().stream().map(LinksFolder::record).toList();
  }

  private static List<String> record(HeadLink link) {
    return texts(
        link.rank(),
        link.layer(),
        link.head(),
        link.weight(),
        link.rivalWeight(),
        link.averageWeight());
  }

  static List<List<String>> statisticRecords(HeadStatistics statistics) {
    return HeadStatisticsTable.records(statistics).stream().map(LinksFolder::texts).toList();
  }

  /** The file itself, or the files right inside a folder, by name; not those that are hidden. */
  static List<String> files(String path, Configuration hadoop) throws IOException {
    Path root = new Path(path);
    FileSystem files = root.getFileSystem(hadoop);
    if (!files.exists(root) || !files.getFileStatus(root).isDirectory()) {
      return List.of(path);
    }
    return Stream.of(files.listStatus(root))
        .filter(FileStatus::isFile)
        .map(status -> status.getPath())
        .filter(file -> !file.getName().startsWith(".") && !file.getName().startsWith("_"))
        .sorted()
        .map(Path::toString)
        .toList();
  }

  private static List<String> texts(Object... values) {
    return Stream.of(values).map(Object::toString).toList();
  }

  /** Where a file or dataset of this name lies. */
  String path(String name) {
    return new Path(folder, name).toString();
  }

  /** A Parquet dataset. */
  void table(String name, Dataset<Row> table) {
    table.write().parquet(path(name));
  }

  /** A file of comma-separated values. */
  void csv(String name, List<String> columns, List<List<String>> records) throws IOException {
    List<String> lines = new ArrayList<>();
    lines.add(Csv.line(columns));
    records.forEach(record -> lines.add(Csv.line(record)));
    page(name, String.join("\n", lines) + "\n");
  }

  /** A text file. */
  void page(String name, String content) throws IOException {
    Path file = new Path(folder, name);
    try (OutputStream out =
        file.getFileSystem(spark.sparkContext().hadoopConfiguration()).create(file)) {
      out.write(content.getBytes(StandardCharsets.UTF_8));
    }
  }
}

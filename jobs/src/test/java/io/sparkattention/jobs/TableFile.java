package io.sparkattention.jobs;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/** A Parquet dataset in the making: rows of random numbers of a fixed seed, 2 heads of 4. */
final class TableFile {
  private static final List<String> COLUMNS =
      List.of("sequence_id", "position", "query", "key", "value");
  private static final int WIDTH = 8;

  private final SparkSession spark;
  private final List<Object[]> rows = new ArrayList<>();
  private final Random random = new Random(11);
  private String schema =
      "sequence_id string, position bigint, query array<float>, key array<float>, value"
          + " array<float>";

  TableFile(SparkSession spark) {
    this.spark = spark;
  }

  /** Adds a row for each position. */
  TableFile rows(Object sequenceId, long... positions) {
    for (long position : positions) {
      rows.add(new Object[] {sequenceId, position, floats(), floats(), floats()});
    }
    return this;
  }

  private Float[] floats() {
    Float[] numbers = new Float[WIDTH];
    Arrays.setAll(numbers, i -> (float) random.nextGaussian());
    return numbers;
  }

  /** Changes a cell. */
  TableFile set(int row, String column, Object cell) {
    rows.get(row)[COLUMNS.indexOf(column)] = cell;
    return this;
  }

  /** Changes an element of a cell. */
  TableFile set(int row, String column, int index, Float number) {
    ((Float[]) rows.get(row)[COLUMNS.indexOf(column)])[index] = number;
    return this;
  }

  /** Changes a column's type; its cells must fit. */
  TableFile type(String from, String to) {
    schema = schema.replace(from, to);
    return this;
  }

  private Dataset<Row> table() {
    List<Row> table = rows.stream().map(RowFactory::create).toList();
    return spark.createDataFrame(table, StructType.fromDDL(schema)).coalesce(1);
  }

  Path write(Path path) {
    table().write().mode("append").parquet(path.toString());
    return path;
  }

  Path writeWithout(String column, Path path) {
    table().drop(column).write().parquet(path.toString());
    return path;
  }

  /** Some rows and columns alone. */
  Path write(Path path, String rows, String... columns) {
    table().where(rows).selectExpr(columns).write().parquet(path.toString());
    return path;
  }
}

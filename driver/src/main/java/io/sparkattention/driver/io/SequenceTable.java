package io.sparkattention.driver.io;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.min;
import static org.apache.spark.sql.functions.size;

import io.sparkattention.driver.InvalidInputException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.IntegralType;
import org.apache.spark.sql.types.StructType;

/**
 * A Parquet dataset whose rows have a {@code sequence_id} (string or integer), a {@code position}
 * (integer) and arrays of floats, in any order.
 */
final class SequenceTable {
  private final String path;
  private final List<String> arrays;
  private final Dataset<Row> rows;

  /** The rows of one sequence: how many, and their smallest and largest position. */
  record Extent(long rows, long first, long last) {}

  /**
   * Reads the schema.
   *
   * @param arrays the columns that hold arrays
   * @throws InvalidInputException if the path is no Parquet dataset with these columns
   */
  SequenceTable(SparkSession spark, String path, List<String> arrays) {
    this.path = path;
    this.arrays = arrays;
    this.rows = explained(() -> spark.read().parquet(path));
    checkColumns();
  }

  /**
   * The same of rows from anywhere.
   *
   * @param name stands for a path in messages
   * @throws InvalidInputException if they lack these columns
   */
  SequenceTable(Dataset<Row> rows, String name, List<String> arrays) {
    this.path = name;
    this.arrays = arrays;
    this.rows = rows;
    checkColumns();
  }

  String path() {
    return path;
  }

  /** The type of the column {@code sequence_id}. */
  DataType idType() {
    return typeOf("sequence_id");
  }

  /** What Spark does with the dataset; where that cannot be read, the error says so. */
  private <T> T explained(Supplier<T> read) {
    try {
      return read.get();
    } catch (Exception e) {
      // Not RuntimeException: Scala throws checked ones that the compiler does not expect.
      Optional<InvalidInputException> wrong = UnreadableParquet.explain(path, e);
      if (wrong.isPresent()) {
        throw wrong.get();
      }
      throw e;
    }
  }

  private void checkColumns() {
    DataType id = typeOf("sequence_id");
    if (!id.equals(DataTypes.StringType) && !(id instanceof IntegralType)) {
      throw mistyped("sequence_id", id, "string, bigint or int");
    }
    DataType position = typeOf("position");
    if (!(position instanceof IntegralType)) {
      throw mistyped("position", position, "bigint or int");
    }
    for (String name : arrays) {
      DataType type = typeOf(name);
      if (!(type instanceof ArrayType array) || !array.elementType().equals(DataTypes.FloatType)) {
        throw mistyped(name, type, "array<float>");
      }
    }
  }

  private DataType typeOf(String column) {
    StructType schema = rows.schema();
    if (schema.getFieldIndex(column).isEmpty()) {
      throw new InvalidInputException(
          "Missing column '%s' in '%s': found %s, expected sequence_id, position, %s; add or rename it"
              .formatted(
                  column, path, String.join(", ", schema.fieldNames()), String.join(", ", arrays)));
    }
    return schema.apply(column).dataType();
  }

  InvalidInputException mistyped(String column, DataType found, String expected) {
    return new InvalidInputException(
        "Invalid column '%s' in '%s': found type %s, expected %s; cast it"
            .formatted(column, path, found.simpleString(), expected));
  }

  /**
   * Floats in each array of a row whose arrays are there; other rows are checked as they are
   * packed.
   */
  Map<String, Integer> widths() {
    return explained(
        () -> {
          Column[] sizes =
              arrays.stream().map(name -> size(col(name)).as(name)).toArray(Column[]::new);
          List<Row> first = rows.select(sizes).na().drop().takeAsList(1);
          if (first.isEmpty()) {
            throw withoutWidths();
          }
          Map<String, Integer> widths = new LinkedHashMap<>();
          for (int i = 0; i < sizes.length; i++) {
            widths.put(arrays.get(i), first.get(0).getInt(i));
          }
          return widths;
        });
  }

  private InvalidInputException withoutWidths() {
    if (rows.isEmpty()) {
      return new InvalidInputException(
          "Empty dataset: found no rows in '%s', expected at least one".formatted(path));
    }
    String last = arrays.get(arrays.size() - 1);
    List<String> others = arrays.subList(0, arrays.size() - 1);
    return new InvalidInputException(
        "Invalid rows in '%s': found a null array in each, expected %s"
            .formatted(path, others.isEmpty() ? last : String.join(", ", others) + " and " + last));
  }

  /**
   * The sequences by their ids as text, in the order of the column, which does not depend on that
   * of the files. Reads the ids and positions of all rows.
   *
   * @throws InvalidInputException if an id or a position is null
   */
  Map<String, Extent> sequences() {
    List<Row> found =
        explained(
            () ->
                rows.groupBy(col("sequence_id"))
                    .agg(
                        count(lit(1)).as("rows"),
                        count(col("position")).as("positions"),
                        min(col("position").cast(DataTypes.LongType)).as("first"),
                        max(col("position").cast(DataTypes.LongType)).as("last"))
                    .orderBy(col("sequence_id"))
                    .collectAsList());
    Map<String, Extent> sequences = new LinkedHashMap<>();
    for (Row row : found) {
      requireNoNulls(row);
      Extent extent = new Extent(row.getLong(1), row.getLong(3), row.getLong(4));
      sequences.put(row.get(0).toString(), extent);
    }
    return sequences;
  }

  private void requireNoNulls(Row row) {
    if (row.isNullAt(0)) {
      throw new InvalidInputException(
          "Invalid column 'sequence_id' in '%s': found null, expected an id in each row; remove such rows"
              .formatted(path));
    }
    if (row.getLong(2) != row.getLong(1)) {
      throw new InvalidInputException(
          "Invalid column 'position' in '%s': found null in sequence '%s', expected a position in each row; number them from 0"
              .formatted(path, row.get(0)));
    }
  }

  /** Id (string) and position (long) first, then the given columns. */
  Dataset<Row> select(String... columns) {
    Stream<Column> place =
        Stream.of(
            col("sequence_id").cast(DataTypes.StringType),
            col("position").cast(DataTypes.LongType));
    List<Column> selected = new ArrayList<>(place.toList());
    for (String column : columns) {
      selected.add(col(column));
    }
    return rows.select(selected.toArray(Column[]::new));
  }
}

package io.sparkattention.driver.model;

import io.sparkattention.driver.model.HeadStatistics.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * {@link HeadStatistics} as a table: {@code layer}, {@code head} (integer), and a column (double)
 * for each kind.
 */
public final class HeadStatisticsTable {
  /** Names of the columns. */
  public static final List<String> COLUMNS =
      Stream.concat(Stream.of("layer", "head"), Stream.of(Kind.values()).map(Kind::column))
          .toList();

  private HeadStatisticsTable() {}

  /** The table, a row for each head. */
  public static Dataset<Row> of(SparkSession spark, HeadStatistics statistics) {
    StructType schema =
        new StructType()
            .add("layer", DataTypes.IntegerType, false)
            .add("head", DataTypes.IntegerType, false);
    for (Kind kind : Kind.values()) {
      schema = schema.add(kind.column(), DataTypes.DoubleType, false);
    }
    List<Row> rows = records(statistics).stream().map(RowFactory::create).toList();
    return spark.createDataFrame(rows, schema);
  }

  /** The values of each row, by layer and head. */
  public static List<Object[]> records(HeadStatistics statistics) {
    List<Object[]> records = new ArrayList<>();
    for (int layer = 0; layer < statistics.layers(); layer++) {
      for (int head = 0; head < statistics.numHeads(); head++) {
        List<Object> record = new ArrayList<>(List.of(layer, head));
        for (Kind kind : Kind.values()) {
          record.add(statistics.mean(layer, head, kind));
        }
        records.add(record.toArray());
      }
    }
    return records;
  }
}

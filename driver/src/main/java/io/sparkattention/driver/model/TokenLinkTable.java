package io.sparkattention.driver.model;

import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * Links as a table: {@code layer}, {@code head} (integer), {@code from_position} (long), {@code
 * from_token}, {@code to_position} (long), {@code to_token}, {@code weight} (float).
 */
public final class TokenLinkTable {
  private static final StructType COLUMNS =
      new StructType()
          .add("layer", DataTypes.IntegerType, false)
          .add("head", DataTypes.IntegerType, false)
          .add("from_position", DataTypes.LongType, false)
          .add("from_token", DataTypes.StringType, false)
          .add("to_position", DataTypes.LongType, false)
          .add("to_token", DataTypes.StringType, false)
          .add("weight", DataTypes.FloatType, false);

  private TokenLinkTable() {}

  /** The table of links that are spread over a cluster. */
  public static Dataset<Row> of(SparkSession spark, JavaRDD<TokenLink> links) {
    return spark.createDataFrame(links.map(TokenLinkTable::row), COLUMNS);
  }

  /** The table of a few links. */
  public static Dataset<Row> of(SparkSession spark, List<TokenLink> links) {
    return spark.createDataFrame(links.stream().map(TokenLinkTable::row).toList(), COLUMNS);
  }

  private static Row row(TokenLink link) {
    return RowFactory.create(
        link.layer(),
        link.head(),
        link.fromPosition(),
        link.fromToken(),
        link.toPosition(),
        link.toToken(),
        link.weight());
  }
}

package io.sparkattention.driver.ml;

import org.apache.spark.ml.param.Param;
import org.apache.spark.ml.param.Params;

/** Params that name columns. */
final class ColumnNames {
  private ColumnNames() {}

  /** A Param whose value is not blank. */
  static Param<String> param(Params stage, String name, String doc) {
    return new Param<>(stage, name, doc, column -> present(name, column));
  }

  private static Object present(String name, String column) {
    if (column == null || column.isBlank()) {
      throw new IllegalArgumentException(
          "Invalid %s: found '%s', expected the name of a column".formatted(name, column));
    }
    return true;
  }
}

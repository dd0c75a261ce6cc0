package io.sparkattention.driver.ml;

import java.util.function.Predicate;
import org.apache.spark.ml.param.Params;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** The columns of a schema that a stage reads and appends to. */
record ColumnCheck(Params stage, StructType schema) {
  /**
   * The type of a column.
   *
   * @param param which names the column
   * @param expected in words
   * @throws IllegalArgumentException if it is missing or has another type
   */
  DataType require(String param, String column, Predicate<DataType> fits, String expected) {
    if (schema.getFieldIndex(column).isEmpty()) {
      throw new IllegalArgumentException(
          "Missing column '%s', the %s of %s: found %s, expected a column of %s; add it or set %s to another"
              .formatted(
                  column,
                  param,
                  stage.uid(),
                  schema.isEmpty() ? "no columns" : String.join(", ", schema.fieldNames()),
                  expected,
                  param));
    }
    DataType type = schema.apply(column).dataType();
    if (!fits.test(type)) {
      throw new IllegalArgumentException(
          "Invalid column '%s', the %s of %s: found type %s, expected %s; cast it or set %s to another"
              .formatted(column, param, stage.uid(), type.simpleString(), expected, param));
    }
    return type;
  }

  /**
   * The schema with one more column.
   *
   * @throws IllegalArgumentException if there is one of this name
   */
  StructType append(String param, String column, DataType type) {
    if (schema.getFieldIndex(column).isDefined()) {
      throw new IllegalArgumentException(
          "Cannot append column '%s', the %s of %s: found a column of that name, expected none; set %s to another or drop the column"
              .formatted(column, param, stage.uid(), param));
    }
    return schema.add(new StructField(column, type, true, Metadata.empty()));
  }

  /** Whether arrays of a type hold elements of another. */
  static boolean isArrayOf(DataType type, DataType element) {
    return type instanceof ArrayType array && array.elementType().equals(element);
  }

  static DataType floats() {
    return DataTypes.createArrayType(DataTypes.FloatType, false);
  }

  /** A column by its name as it is, dots included. */
  static Column column(String name) {
    return functions.col("`" + name.replace("`", "``") + "`");
  }
}

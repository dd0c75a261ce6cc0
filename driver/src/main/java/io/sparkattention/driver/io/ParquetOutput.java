package io.sparkattention.driver.io;

import io.sparkattention.driver.AttentionOutput;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.exchange.ScoreBlock;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Optional;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataType;

/**
 * A Parquet dataset with the columns {@code sequence_id}, {@code position}, {@code output}
 * [numHeads · valueDim] and {@code log_sum_exp} [numHeads].
 */
public final class ParquetOutput implements AttentionOutput {
  private final SparkSession spark;
  private final String path;
  private final boolean overwrite;
  private final DataType sequenceIdType;

  /**
   * @param sequenceIdType type of the column {@code sequence_id}: that of the input
   */
  public ParquetOutput(
      SparkSession spark, String path, boolean overwrite, DataType sequenceIdType) {
    this.spark = spark;
    this.path = path;
    this.overwrite = overwrite;
    this.sequenceIdType = sequenceIdType;
  }

  @Override
  public void check(AttentionPlan plan) {
    if (plan.scoresOutput().isPresent()) {
      throw new InvalidInputException(
          "Cannot write scores to '%s': found a Parquet dataset, expected a .safetensors file; choose such an output or leave out --scores-output"
              .formatted(path));
    }
    try {
      stage().close();
    } catch (IOException e) {
      throw cannotWrite(e);
    }
  }

  @Override
  public void write(
      AttentionPlan plan, JavaRDD<AttentionRows> rows, Optional<JavaRDD<ScoreBlock>> scores) {
    Dataset<Row> written =
        AttentionRow.table(spark, rows, plan.sequences(), plan.layout(), sequenceIdType);
    try (StagedOutput staged = stage()) {
      written.write().parquet(staged.path());
      staged.commit();
    } catch (IOException e) {
      throw cannotWrite(e);
    }
  }

  private StagedOutput stage() throws IOException {
    return new StagedOutput(path, overwrite, spark.sparkContext().hadoopConfiguration());
  }

  private UncheckedIOException cannotWrite(IOException e) {
    return new UncheckedIOException("Cannot write '%s': %s".formatted(path, e.getMessage()), e);
  }
}

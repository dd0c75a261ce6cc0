package io.sparkattention.driver.io;

import static org.apache.spark.sql.functions.col;

import io.sparkattention.driver.AttentionOutput;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.exchange.ScoreBlock;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.Iterator;
import java.util.Optional;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
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
    String[] ids = plan.sequences().stream().map(SequenceShape::id).toArray(String[]::new);
    int heads = plan.layout().numHeads();
    int width = heads * plan.layout().valueDim();
    JavaRDD<AttentionRow> table = rows.flatMap(block -> tableRows(block, ids, heads, width));
    Dataset<Row> written =
        spark
            .createDataset(table.rdd(), Encoders.bean(AttentionRow.class))
            .select(
                col("sequenceId").cast(sequenceIdType).as("sequence_id"),
                col("position"),
                col("output"),
                col("logSumExp").as("log_sum_exp"));
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

  private static Iterator<AttentionRow> tableRows(
      AttentionRows rows, String[] ids, int heads, int width) {
    String id = ids[rows.block().sequence()];
    return IntStream.range(0, rows.block().tokens())
        .mapToObj(
            row ->
                new AttentionRow(
                    id,
                    rows.block().start() + row,
                    Arrays.copyOfRange(rows.output(), row * width, (row + 1) * width),
                    Arrays.copyOfRange(rows.logSumExp(), row * heads, (row + 1) * heads)))
        .iterator();
  }
}

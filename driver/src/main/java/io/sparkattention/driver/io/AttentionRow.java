package io.sparkattention.driver.io;

import static org.apache.spark.sql.functions.col;

import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.kernels.HeadLayout;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataType;

/** A row of an output table: a bean, so that Spark writes its float arrays without boxing. */
public final class AttentionRow {
  private String sequenceId;
  private long position;
  private float[] output;
  private float[] logSumExp;

  /** For Spark's encoder. */
  public AttentionRow() {}

  AttentionRow(String sequenceId, long position, float[] output, float[] logSumExp) {
    this.sequenceId = sequenceId;
    this.position = position;
    this.output = output;
    this.logSumExp = logSumExp;
  }

  /**
   * Finished attention as a table with the columns {@code sequence_id}, {@code position}, {@code
   * output} [numHeads · valueDim] and {@code log_sum_exp} [numHeads].
   *
   * @param sequences which the blocks name by index
   * @param idType type of the column {@code sequence_id}
   */
  public static Dataset<Row> table(
      SparkSession spark,
      JavaRDD<AttentionRows> rows,
      List<SequenceShape> sequences,
      HeadLayout layout,
      DataType idType) {
    String[] ids = sequences.stream().map(SequenceShape::id).toArray(String[]::new);
    int heads = layout.numHeads();
    int width = heads * layout.valueDim();
    JavaRDD<AttentionRow> table = rows.flatMap(block -> tableRows(block, ids, heads, width));
    return spark
        .createDataset(table.rdd(), Encoders.bean(AttentionRow.class))
        .select(
            col("sequenceId").cast(idType).as("sequence_id"),
            col("position"),
            col("output"),
            col("logSumExp").as("log_sum_exp"));
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

  public String getSequenceId() {
    return sequenceId;
  }

  public void setSequenceId(String sequenceId) {
    this.sequenceId = sequenceId;
  }

  public long getPosition() {
    return position;
  }

  public void setPosition(long position) {
    this.position = position;
  }

  /** [numHeads, valueDim]. */
  public float[] getOutput() {
    return output;
  }

  public void setOutput(float[] output) {
    this.output = output;
  }

  /** [numHeads]. */
  public float[] getLogSumExp() {
    return logSumExp;
  }

  public void setLogSumExp(float[] logSumExp) {
    this.logSumExp = logSumExp;
  }
}

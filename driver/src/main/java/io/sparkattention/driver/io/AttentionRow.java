package io.sparkattention.driver.io;

/** A row of the Parquet output: a bean, so that Spark writes its float arrays without boxing. */
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

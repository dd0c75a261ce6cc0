package io.sparkattention.driver.model;

/** One layer of a transformer around its self-attention; each row is treated alone. */
interface AttentionLayer {
  /**
   * Queries.
   *
   * @param states the layer's input, [rows, hidden], at positions from {@code firstPosition}
   * @return [rows, numHeads, headDim]
   */
  float[] queries(float[] states, int rows, long firstPosition);

  /** Keys, [rows, numKeyValueHeads, headDim]. */
  float[] keys(float[] states, int rows, long firstPosition);

  /** Values, [rows, numKeyValueHeads, headDim]. */
  float[] values(float[] states, int rows);

  /**
   * What follows the attention.
   *
   * @param states the layer's input, [rows, hidden]
   * @param context the heads' weighted values side by side, [rows, numHeads · headDim]
   * @return the layer's output, [rows, hidden]
   */
  float[] finish(float[] states, float[] context, int rows);
}

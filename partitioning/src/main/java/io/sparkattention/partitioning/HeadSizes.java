package io.sparkattention.partitioning;

import java.io.Serializable;

/**
 * How much one token is, in bytes and FLOPs, all heads together.
 *
 * @param numHeads query heads
 * @param numKeyValueHeads heads of keys and values
 * @param keyDim elements of a query and of a key
 * @param valueDim elements of a value
 * @param keyValueBytes bytes of an element of packed keys and values
 */
public record HeadSizes(
    int numHeads, int numKeyValueHeads, int keyDim, int valueDim, int keyValueBytes)
    implements Serializable {
  /** Panels of values and vectors of keys are padded to as many floats. */
  private static final int LANES = 16;

  /** Two doubles and an int for each output element, and for the denominator. */
  private static final int STATE_BYTES = 20;

  /** A packed key and value. */
  public double keyValueBytesPerToken() {
    return (double) numKeyValueHeads * (keyDim + valueDim) * keyValueBytes;
  }

  /** A packed query. */
  public double queryBytesPerToken() {
    return (double) numHeads * keyDim * Float.BYTES;
  }

  /** The partial result of a query. */
  public double stateBytesPerToken() {
    return (double) numHeads * (valueDim + 1) * STATE_BYTES;
  }

  /** A finished row: the output and its log-sum-exp. */
  public double rowBytesPerToken() {
    return (double) numHeads * (valueDim + 1) * Float.BYTES;
  }

  /** Output elements of a query. */
  public double outputsPerToken() {
    return (double) numHeads * valueDim;
  }

  /** FLOPs of a computed (query, key) pair of one head, padding included. */
  double flopsPerScore() {
    return 2.0 * (keyDim + (valueDim + LANES - 1) / LANES * LANES);
  }

  /**
   * The same tokens with the heads of one of {@code groups} groups; a key/value head stays with the
   * query heads that share it.
   */
  HeadSizes group(int groups) {
    int keyValueHeads = (numKeyValueHeads + groups - 1) / groups;
    return new HeadSizes(
        keyValueHeads * (numHeads / numKeyValueHeads),
        keyValueHeads,
        keyDim,
        valueDim,
        keyValueBytes);
  }
}

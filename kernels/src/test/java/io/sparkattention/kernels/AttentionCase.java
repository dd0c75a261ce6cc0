package io.sparkattention.kernels;

import java.util.Random;

/** One attention problem of a single sequence and its ways through kernel and reference. */
public final class AttentionCase {
  public final HeadLayout layout;
  public final int queries;
  public final int keys;
  public final double scale;

  /** [numHeads, queries, keyDim]. */
  public final float[] query;

  /** [numKeyValueHeads, keys, keyDim]. */
  public final float[] key;

  /** [numKeyValueHeads, keys, valueDim]. */
  public final float[] value;

  /** Unit-normal queries, keys and values. */
  public AttentionCase(HeadLayout layout, int queries, int keys, long seed) {
    this(layout, queries, keys, seed, 1 / Math.sqrt(layout.keyDim()));
  }

  /** The same with another factor of the scores. */
  AttentionCase(HeadLayout layout, int queries, int keys, long seed, double scale) {
    this(layout, queries, keys, new Random(seed), scale);
  }

  private AttentionCase(HeadLayout layout, int queries, int keys, Random random, double scale) {
    this(
        layout,
        scale,
        normal(random, layout.numHeads() * queries * layout.keyDim()),
        normal(random, layout.numKeyValueHeads() * keys * layout.keyDim()),
        normal(random, layout.numKeyValueHeads() * keys * layout.valueDim()));
  }

  /** Given queries, keys and values; not copied. */
  public AttentionCase(HeadLayout layout, float[] query, float[] key, float[] value) {
    this(layout, 1 / Math.sqrt(layout.keyDim()), query, key, value);
  }

  private AttentionCase(
      HeadLayout layout, double scale, float[] query, float[] key, float[] value) {
    this.layout = layout;
    this.queries = query.length / (layout.numHeads() * layout.keyDim());
    this.keys = key.length / (layout.numKeyValueHeads() * layout.keyDim());
    this.scale = scale;
    this.query = query;
    this.key = key;
    this.value = value;
  }

  public static float[] normal(Random random, int count) {
    float[] x = new float[count];
    for (int i = 0; i < count; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  /** Queries [start, end) packed. */
  public QueryBlock queryBlock(int start, int end) {
    QueryBlock.Packer packer = new QueryBlock.Packer(layout, end - start, scale);
    for (int h = 0; h < layout.numHeads(); h++) {
      for (int row = start; row < end; row++) {
        packer.put(h, row - start, query, (h * queries + row) * layout.keyDim());
      }
    }
    return packer.pack();
  }

  /** Keys and values [start, end) packed. */
  public KeyValueBlock keyValueBlock(int start, int end) {
    return keyValueBlock(start, end, ElementType.F32);
  }

  public KeyValueBlock keyValueBlock(int start, int end, ElementType type) {
    KeyValueBlock.Packer packer = new KeyValueBlock.Packer(layout, end - start, type);
    for (int h = 0; h < layout.numKeyValueHeads(); h++) {
      for (int row = start; row < end; row++) {
        packer.putKey(h, row - start, key, (h * keys + row) * layout.keyDim());
        packer.putValue(h, row - start, value, (h * keys + row) * layout.valueDim());
      }
    }
    return packer.pack();
  }

  /** Query i sees keys [from(i), to(i)) of the block [start, end). */
  public static VisibleKeys band(
      int queryStart, int queryEnd, int start, int end, int offset, int left, int right) {
    int[] from = new int[queryEnd - queryStart];
    int[] to = new int[queryEnd - queryStart];
    for (int r = 0; r < from.length; r++) {
      long aligned = (long) queryStart + r + offset;
      from[r] = (int) Math.min(Math.max(aligned - left, start), end) - start;
      to[r] = (int) Math.min(Math.max(aligned + right + 1, start), end) - start;
      to[r] = Math.max(from[r], to[r]);
    }
    return VisibleKeys.ofIntervals(from, to);
  }

  /** The state of all queries after all key blocks of {@code blockKeys} keys, in order. */
  AttentionState attend(AttentionKernel kernel, int blockKeys, int offset, int left, int right) {
    return attend(kernel, ElementType.F32, blockKeys, offset, left, right);
  }

  /** The same with keys and values in {@code type}. */
  AttentionState attend(
      AttentionKernel kernel, ElementType type, int blockKeys, int offset, int left, int right) {
    return attend(kernel, type, blockKeys, offset, left, right, 1);
  }

  /** The same on several threads. */
  AttentionState attend(
      AttentionKernel kernel,
      ElementType type,
      int blockKeys,
      int offset,
      int left,
      int right,
      int threads) {
    AttentionState state = new AttentionState(layout.numHeads(), queries, layout.valueDim());
    QueryBlock block = queryBlock(0, queries);
    for (int start = 0; start < keys; start += blockKeys) {
      int end = Math.min(start + blockKeys, keys);
      VisibleKeys visible = band(0, queries, start, end, offset, left, right);
      kernel.fold(
          block, keyValueBlock(start, end, type), visible, ScoreTransform.NONE, state, threads);
    }
    return state;
  }

  /** Query i sees keys i + offset − left to i + offset + right. */
  public ReferenceAttention.Result reference(int offset, long left, long right) {
    return ReferenceAttention.attend(
        layout,
        query,
        key,
        value,
        scale,
        (i, j) -> j >= i + offset - left && j <= i + offset + right);
  }

  /** [numHeads, queries, valueDim] and behind it [numHeads, queries]: output and log-sum-exp. */
  static float[] finish(AttentionState state) {
    int outputs = state.heads() * state.rows() * state.valueDim();
    float[] result = new float[outputs + state.heads() * state.rows()];
    for (int h = 0; h < state.heads(); h++) {
      for (int row = 0; row < state.rows(); row++) {
        int index = h * state.rows() + row;
        result[outputs + index] = state.finish(h, row, result, index * state.valueDim());
      }
    }
    return result;
  }

  /**
   * The largest relative error of a float32 attention that sums {@code chain} products after one
   * another. A score is a chain of keyDim multiply-adds over |q·k| ≤ norm · norm, off by keyDim + 2
   * roundings; a weight is off by that and 2 roundings of the exponential, the denominator
   * likewise; the value sum adds its chain and a few rescales. With ε = 2^-24 the output is off by
   * at most (2 (keyDim + 2) · |score| + chain + 16) ε · max|v|.
   */
  public double relativeBound(int chain) {
    double maxScore =
        maxNorm(query, layout.keyDim()) * maxNorm(key, layout.keyDim()) * Math.abs(scale);
    return (2 * (layout.keyDim() + 2) * maxScore + chain + 16) * 0x1p-24;
  }

  public double maxValue() {
    double max = 0;
    for (float v : value) {
      max = Math.max(max, Math.abs(v));
    }
    return max;
  }

  private static double maxNorm(float[] rows, int dim) {
    double max = 0;
    for (int row = 0; row < rows.length; row += dim) {
      double squares = 0;
      for (int d = 0; d < dim; d++) {
        squares += (double) rows[row + d] * rows[row + d];
      }
      max = Math.max(max, Math.sqrt(squares));
    }
    return max;
  }
}

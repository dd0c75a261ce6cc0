package io.sparkattention.driver.model;

import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.kernels.ScoreMatrix;
import io.sparkattention.kernels.ScoreTransform;
import io.sparkattention.kernels.VisibleKeys;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockGrid;
import java.util.Arrays;
import java.util.List;

/** A growing sequence of keys and values in one process. */
final class LocalKeyValues {
  private final LocalAttention attention;
  private final BlockGrid grid;
  private float[] keys = new float[0];
  private float[] values = new float[0];
  private int rows;

  LocalKeyValues(LocalAttention attention, BlockGrid grid) {
    this.attention = attention;
    this.grid = grid;
  }

  /**
   * Adds keys and values of the next positions.
   *
   * @param moreKeys [count, numKeyValueHeads, headDim]
   * @param moreValues [count, numKeyValueHeads, valueDim]
   */
  void append(float[] moreKeys, float[] moreValues, int count) {
    keys = joined(keys, rows, moreKeys, count);
    values = joined(values, rows, moreValues, count);
    rows += count;
  }

  /** Room doubles where it ends, so that single rows cost little. */
  private static float[] joined(float[] into, int rows, float[] more, int count) {
    int row = more.length / count;
    int length = (rows + count) * row;
    float[] room =
        length <= into.length ? into : Arrays.copyOf(into, Math.max(length, 2 * into.length));
    System.arraycopy(more, 0, room, rows * row, more.length);
    return room;
  }

  /**
   * Attention of queries to all keys so far.
   *
   * @param queries [count, numHeads, headDim]
   * @param firstPosition of the first query, for the mask
   * @return weighted values, [count, numHeads, valueDim]
   */
  float[] attend(float[] queries, int count, long firstPosition) {
    HeadLayout heads = attention.heads();
    int queryRow = heads.numHeads() * heads.keyDim();
    int outputRow = heads.numHeads() * heads.valueDim();
    float[] output = new float[count * outputRow];
    for (Block at : grid.blocks(0, firstPosition, count)) {
      int first = (int) (at.start() - firstPosition);
      float[] own = Arrays.copyOfRange(queries, first * queryRow, (first + at.tokens()) * queryRow);
      float[] attended = attend(at, attention.queries(own, at.tokens()));
      System.arraycopy(attended, 0, output, first * outputRow, attended.length);
    }
    return output;
  }

  private float[] attend(Block at, QueryBlock queries) {
    AttentionState state = attention.emptyState(at.tokens());
    for (Block keysAt : blocks()) {
      attention.fold(at, queries, keysAt, packed(keysAt), state);
    }
    return attention.finish(state);
  }

  private List<Block> blocks() {
    return grid.blocks(0, 0, rows);
  }

  private KeyValueBlock packed(Block at) {
    HeadLayout heads = attention.heads();
    int keyRow = heads.numKeyValueHeads() * heads.keyDim();
    int valueRow = heads.numKeyValueHeads() * heads.valueDim();
    int from = (int) at.start();
    int to = (int) at.end();
    return attention.keyValues(
        Arrays.copyOfRange(keys, from * keyRow, to * keyRow),
        Arrays.copyOfRange(values, from * valueRow, to * valueRow),
        at.tokens());
  }

  /**
   * How one query weighs all keys, mask aside: e^(score − logSumExp), the mean over the heads.
   *
   * @param query [1, numHeads, headDim]
   * @return [keys]
   */
  float[] meanWeights(float[] query) {
    int heads = attention.heads().numHeads();
    QueryBlock packed = attention.queries(query, 1);
    double[][] scores = new double[heads][rows];
    for (Block at : blocks()) {
      float[] some =
          ScoreMatrix.of(
              AttentionKernels.named("auto").kernel(),
              packed,
              packed(at),
              VisibleKeys.all(),
              ScoreTransform.NONE);
      for (int i = 0; i < some.length; i++) {
        scores[i / at.tokens()][(int) at.start() + i % at.tokens()] = some[i];
      }
    }
    float[] mean = new float[rows];
    for (double[] head : scores) {
      double max = Arrays.stream(head).max().orElseThrow();
      double sum = Arrays.stream(head).map(score -> Math.exp(score - max)).sum();
      for (int key = 0; key < rows; key++) {
        mean[key] += (float) (Math.exp(head[key] - max) / sum / heads);
      }
    }
    return mean;
  }
}

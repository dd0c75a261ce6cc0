package io.sparkattention.kernels;

import java.util.Arrays;

/**
 * The scores of a pair of blocks written out, which attention never does: for people who look into
 * it, and small inputs.
 */
public final class ScoreMatrix {
  private ScoreMatrix() {}

  /**
   * Scores by the steps of {@link AttentionKernel#fold}, up to the softmax.
   *
   * @param visible keys that are masked have the score −∞
   * @return [numHeads, query rows, key rows], in the unit of the natural exponent
   * @throws InvalidElementException as {@link AttentionKernel#fold}
   */
  public static float[] of(
      AttentionKernel kernel,
      QueryBlock queries,
      KeyValueBlock keys,
      VisibleKeys visible,
      ScoreTransform transform) {
    BlockPair pair = new BlockPair(queries, keys, visible, transform);
    pair.check();
    int heads = queries.layout().numHeads();
    float[] matrix = new float[Math.multiplyExact(heads * queries.rows(), keys.keys())];
    Arrays.fill(matrix, Float.NEGATIVE_INFINITY);
    RowGroups groups = new RowGroups(heads, queries.rows(), 1);
    Leaf leaf = new Leaf(pair);
    for (RowGroups.Group group = groups.next(); group != null; group = groups.next()) {
      for (int inner = 0; inner < keys.keys(); inner += AttentionKernel.INNER_KEYS) {
        leaf.panels.load(kernel, group, inner, visible);
        for (int row = group.from(); row < group.to(); row += AttentionKernel.STRIP_ROWS) {
          if (leaf.look(group.head(), row, inner)) {
            kernel.scores(pair, group.head(), row, inner, leaf);
            copy(pair, leaf, group.head(), row, inner, matrix);
          }
        }
      }
    }
    return matrix;
  }

  /** The panels that the strip touches, of the rows that there are. */
  private static void copy(
      BlockPair pair, Leaf leaf, int head, int row, int inner, float[] matrix) {
    int rows = pair.queries().rows();
    int keys = pair.keys().keys();
    for (int r = 0; r < Math.min(AttentionKernel.STRIP_ROWS, rows - row); r++) {
      int target = (head * rows + row + r) * keys + inner;
      for (int p = leaf.nextTouched(0); p < Leaf.INNER_PANELS; p = leaf.nextTouched(p + 1)) {
        int from = p * AttentionKernel.PANEL_KEYS;
        int to = Math.min(from + AttentionKernel.PANEL_KEYS, keys - inner);
        for (int key = from; key < to; key++) {
          float product = leaf.scores[r * AttentionKernel.SCORE_STRIDE + key];
          matrix[target + key] = (float) pair.queries().scoreOf(product);
        }
      }
    }
  }
}

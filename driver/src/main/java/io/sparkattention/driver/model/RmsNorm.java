package io.sparkattention.driver.model;

import java.io.Serializable;

/**
 * Root mean square normalization of rows (Zhang and Sennrich 2019, equation 4): divide by the root
 * of the mean square, scale. The squares are summed in float64.
 */
final class RmsNorm implements Serializable {
  private static final long serialVersionUID = 1L;

  private final float[] weight;
  private final double epsilon;

  /**
   * Reads {@code name.weight} [hidden].
   *
   * @param epsilon added to the mean square
   */
  RmsNorm(ModelWeights weights, String name, double epsilon) {
    this.weight = weights.data(name + ".weight");
    this.epsilon = epsilon;
  }

  /**
   * The normalized rows.
   *
   * @param rows [count, hidden]; not changed
   */
  float[] apply(float[] rows, int count) {
    int hidden = weight.length;
    float[] result = new float[count * hidden];
    for (int row = 0; row < count; row++) {
      int offset = row * hidden;
      double squares = 0;
      for (int i = 0; i < hidden; i++) {
        squares = Math.fma((double) rows[offset + i], rows[offset + i], squares);
      }
      double inverse = 1 / Math.sqrt(squares / hidden + epsilon);
      for (int i = 0; i < hidden; i++) {
        result[offset + i] = (float) (rows[offset + i] * inverse) * weight[i];
      }
    }
    return result;
  }
}

package io.sparkattention.driver.model;

import java.io.Serializable;

/**
 * Layer normalization of rows (Ba, Kiros and Hinton 2016, equation 4): subtract the row's mean,
 * divide by its standard deviation, scale and shift. Mean and variance are summed in float64.
 */
final class LayerNorm implements Serializable {
  private static final long serialVersionUID = 1L;

  /** BERT's value. */
  private static final double BERT_EPSILON = 1e-12;

  private final float[] weight;
  private final float[] bias;
  private final double epsilon;

  /**
   * Reads {@code name.weight} and {@code name.bias}, each [hidden].
   *
   * @param epsilon added to the variance
   */
  LayerNorm(ModelWeights weights, String name, double epsilon) {
    this.weight = weights.data(name + ".weight");
    this.bias = weights.data(name + ".bias");
    this.epsilon = epsilon;
  }

  /** A norm of BERT's. */
  static LayerNorm of(ModelWeights weights, String name) {
    return new LayerNorm(weights, name, BERT_EPSILON);
  }

  /** The normalized rows; {@code rows} [count, hidden] stay as they are. */
  float[] normalized(float[] rows, int count) {
    float[] result = rows.clone();
    apply(result, count);
    return result;
  }

  /** Normalizes {@code rows} [count, hidden] in place. */
  void apply(float[] rows, int count) {
    for (int row = 0; row < count; row++) {
      applyRow(rows, row * weight.length);
    }
  }

  /** Normalizes in place the one row that starts at {@code offset}. */
  void applyRow(float[] rows, int offset) {
    int hidden = weight.length;
    double sum = 0;
    for (int i = 0; i < hidden; i++) {
      sum += rows[offset + i];
    }
    double mean = sum / hidden;
    double squares = 0;
    for (int i = 0; i < hidden; i++) {
      double deviation = rows[offset + i] - mean;
      squares = Math.fma(deviation, deviation, squares);
    }
    double inverse = 1 / Math.sqrt(squares / hidden + epsilon);
    for (int i = 0; i < hidden; i++) {
      float normal = (float) ((rows[offset + i] - mean) * inverse);
      rows[offset + i] = Math.fma(normal, weight[i], bias[i]);
    }
  }
}

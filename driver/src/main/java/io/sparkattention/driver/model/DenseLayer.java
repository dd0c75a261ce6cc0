package io.sparkattention.driver.model;

import java.io.Serializable;
import java.util.Arrays;

/**
 * A dense layer: {@code output = input · weight + bias}.
 *
 * <p>Each output element sums its inputs in ascending order, one fused multiply-add each, in runs
 * of {@value #INPUTS_PER_SUM} that start from zero and are added to the bias: short chains round
 * less. A row's bits depend on that row alone, not on the rows computed with it.
 */
public final class DenseLayer implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Rows that share one pass over the weights, which do not fit the first-level cache. */
  private static final int ROWS_AT_ONCE = 8;

  /** Inputs per pass over an output row: with 8, C2 (JDK 17) gives up on vectors. */
  private static final int INPUTS_AT_ONCE = 4;

  /** Inputs of one chain of additions; a multiple of {@link #INPUTS_AT_ONCE}. */
  private static final int INPUTS_PER_SUM = 32;

  /** [in][out]: an array per input, since C2 does not vectorize {@code weight[offset + j]}. */
  private final float[][] weight;

  /** [out]. */
  private final float[] bias;

  private DenseLayer(float[][] weight, float[] bias) {
    this.weight = weight;
    this.bias = bias;
  }

  /** Reads {@code name.weight} [out, in] and {@code name.bias} [out]. */
  static DenseLayer of(ModelWeights weights, String name) {
    return of(weights, name, weights.data(name + ".bias"));
  }

  /** Reads {@code name.weight} [out, in]; the bias is 0. */
  static DenseLayer withoutBias(ModelWeights weights, String name) {
    return of(weights, name, new float[weights.axis(name + ".weight", 0)]);
  }

  private static DenseLayer of(ModelWeights weights, String name, float[] bias) {
    float[] outIn = weights.data(name + ".weight");
    int out = weights.axis(name + ".weight", 0);
    int in = weights.axis(name + ".weight", 1);
    float[][] inOut = new float[in][out];
    for (int o = 0; o < out; o++) {
      for (int i = 0; i < in; i++) {
        inOut[i][o] = outIn[o * in + i];
      }
    }
    return new DenseLayer(inOut, bias);
  }

  /** Width of an input row. */
  public int inputSize() {
    return weight.length;
  }

  /** Width of an output row. */
  public int outputSize() {
    return bias.length;
  }

  /**
   * Applies the layer to each row.
   *
   * @param input [rows, inputSize]; longer arrays are allowed
   * @return [rows, outputSize]
   */
  public float[] apply(float[] input, int rows) {
    if (input.length / inputSize() < rows) {
      throw new IllegalArgumentException(
          "Invalid input: " + input.length + " values are not " + rows + " rows of " + inputSize());
    }
    float[] output = new float[Math.multiplyExact(rows, outputSize())];
    float[][] totals = new float[Math.min(ROWS_AT_ONCE, rows)][];
    float[][] sums = new float[totals.length][outputSize()];
    for (int first = 0; first < rows; first += ROWS_AT_ONCE) {
      int count = Math.min(ROWS_AT_ONCE, rows - first);
      for (int r = 0; r < count; r++) {
        totals[r] = Arrays.copyOf(bias, bias.length);
      }
      for (int i = 0; i < inputSize(); i += INPUTS_PER_SUM) {
        int end = Math.min(i + INPUTS_PER_SUM, inputSize());
        for (int r = 0; r < count; r++) {
          accumulate(input, (first + r) * inputSize(), i, end, sums[r]);
          addAndClear(totals[r], sums[r]);
        }
      }
      for (int r = 0; r < count; r++) {
        System.arraycopy(totals[r], 0, output, (first + r) * outputSize(), outputSize());
      }
    }
    return output;
  }

  /** Inputs {@code from} to {@code end} of the row that starts at {@code row}. */
  private void accumulate(float[] input, int row, int from, int end, float[] sums) {
    int i = from;
    for (; i + INPUTS_AT_ONCE <= end; i += INPUTS_AT_ONCE) {
      addFour(i, input, row + i, sums);
    }
    for (; i < end; i++) {
      addOne(weight[i], input[row + i], sums);
    }
  }

  private static void addAndClear(float[] totals, float[] sums) {
    for (int j = 0; j < totals.length; j++) {
      totals[j] += sums[j];
      sums[j] = 0;
    }
  }

  private void addFour(int i, float[] input, int at, float[] sums) {
    float[] w0 = weight[i];
    float[] w1 = weight[i + 1];
    float[] w2 = weight[i + 2];
    float[] w3 = weight[i + 3];
    float x0 = input[at];
    float x1 = input[at + 1];
    float x2 = input[at + 2];
    float x3 = input[at + 3];
    for (int j = 0; j < sums.length; j++) {
      float sum = Math.fma(x1, w1[j], Math.fma(x0, w0[j], sums[j]));
      sums[j] = Math.fma(x3, w3[j], Math.fma(x2, w2[j], sum));
    }
  }

  private static void addOne(float[] w, float x, float[] sums) {
    for (int j = 0; j < sums.length; j++) {
      sums[j] = Math.fma(x, w[j], sums[j]);
    }
  }
}

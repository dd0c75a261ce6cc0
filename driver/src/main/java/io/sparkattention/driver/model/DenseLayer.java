package io.sparkattention.driver.model;

import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.DenseProduct;
import java.io.Serializable;

/**
 * A dense layer: {@code output = input · weight + bias}, on the attention kernel's micro-kernel. A
 * row's bits depend on that row alone, not on the rows computed with it.
 */
public final class DenseLayer implements Serializable {
  private static final long serialVersionUID = 1L;

  private final DenseProduct product;

  private DenseLayer(DenseProduct product) {
    this.product = product;
  }

  /** Reads {@code name.weight} [out, in] and {@code name.bias} [out]. */
  static DenseLayer of(ModelWeights weights, String name) {
    return new DenseLayer(
        new DenseProduct(weights.data(name + ".weight"), weights.data(name + ".bias")));
  }

  /** Reads {@code name.weight} [out, in]; the bias is 0. */
  static DenseLayer withoutBias(ModelWeights weights, String name) {
    float[] bias = new float[weights.axis(name + ".weight", 0)];
    return new DenseLayer(new DenseProduct(weights.data(name + ".weight"), bias));
  }

  /** Width of an input row. */
  public int inputSize() {
    return product.inputSize();
  }

  /** Width of an output row. */
  public int outputSize() {
    return product.outputSize();
  }

  /**
   * Applies the layer to each row.
   *
   * @param input [rows, inputSize]; longer arrays are allowed
   * @return [rows, outputSize]
   */
  public float[] apply(float[] input, int rows) {
    return product.apply(AttentionKernels.auto().kernel(), input, rows);
  }
}

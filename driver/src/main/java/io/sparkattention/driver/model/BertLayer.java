package io.sparkattention.driver.model;

import java.io.Serializable;
import java.util.Map;

/** The weights of one encoder layer (Devlin et al. 2018; Vaswani et al. 2017, section 3.1). */
public final class BertLayer implements AttentionLayer, Serializable {
  private static final long serialVersionUID = 1L;

  private final DenseLayer query;
  private final DenseLayer key;
  private final DenseLayer value;
  private final DenseLayer attentionOutput;
  private final LayerNorm attentionNorm;
  private final DenseLayer intermediate;
  private final DenseLayer output;
  private final LayerNorm outputNorm;

  BertLayer(ModelWeights weights, int layer) {
    String name = name(layer);
    this.query = DenseLayer.of(weights, name + "attention.self.query");
    this.key = DenseLayer.of(weights, name + "attention.self.key");
    this.value = DenseLayer.of(weights, name + "attention.self.value");
    this.attentionOutput = DenseLayer.of(weights, name + "attention.output.dense");
    this.attentionNorm = LayerNorm.of(weights, name + "attention.output.LayerNorm");
    this.intermediate = DenseLayer.of(weights, name + "intermediate.dense");
    this.output = DenseLayer.of(weights, name + "output.dense");
    this.outputNorm = LayerNorm.of(weights, name + "output.LayerNorm");
  }

  private static String name(int layer) {
    return "encoder.layer." + layer + ".";
  }

  /** Adds the tensors that a layer needs, with their shapes. */
  static void expect(int layer, int hidden, int intermediate, Map<String, int[]> expected) {
    String name = name(layer);
    for (String dense :
        new String[] {
          "attention.self.query",
          "attention.self.key",
          "attention.self.value",
          "attention.output.dense"
        }) {
      expected.put(name + dense + ".weight", new int[] {hidden, hidden});
      expected.put(name + dense + ".bias", new int[] {hidden});
    }
    for (String norm : new String[] {"attention.output.LayerNorm", "output.LayerNorm"}) {
      expected.put(name + norm + ".weight", new int[] {hidden});
      expected.put(name + norm + ".bias", new int[] {hidden});
    }
    expected.put(name + "intermediate.dense.weight", new int[] {intermediate, hidden});
    expected.put(name + "intermediate.dense.bias", new int[] {intermediate});
    expected.put(name + "output.dense.weight", new int[] {hidden, intermediate});
    expected.put(name + "output.dense.bias", new int[] {hidden});
  }

  /** Hidden states to queries, [rows, hidden] to [rows, numHeads · headDim]. */
  public DenseLayer query() {
    return query;
  }

  /** Hidden states to keys, [rows, hidden] to [rows, numHeads · headDim]. */
  public DenseLayer key() {
    return key;
  }

  /** Hidden states to values, [rows, hidden] to [rows, numHeads · headDim]. */
  public DenseLayer value() {
    return value;
  }

  @Override
  public float[] queries(float[] states, int rows, long firstPosition) {
    return query.apply(states, rows);
  }

  @Override
  public float[] keys(float[] states, int rows, long firstPosition) {
    return key.apply(states, rows);
  }

  @Override
  public float[] values(float[] states, int rows) {
    return value.apply(states, rows);
  }

  /**
   * What follows the attention: output projection, feed-forward network, a residual sum and a norm
   * after each.
   *
   * @param input the layer's input, [rows, hidden]
   * @param context the heads' weighted values side by side, [rows, hidden]
   * @return the layer's output, [rows, hidden]
   */
  @Override
  public float[] finish(float[] input, float[] context, int rows) {
    float[] attended = attentionOutput.apply(context, rows);
    add(input, attended);
    attentionNorm.apply(attended, rows);
    float[] inside = intermediate.apply(attended, rows);
    Gelu.apply(inside);
    float[] result = output.apply(inside, rows);
    add(attended, result);
    outputNorm.apply(result, rows);
    return result;
  }

  private static void add(float[] from, float[] to) {
    for (int i = 0; i < to.length; i++) {
      to[i] += from[i];
    }
  }
}

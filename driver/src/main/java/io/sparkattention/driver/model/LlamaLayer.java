package io.sparkattention.driver.model;

import io.sparkattention.kernels.HeadLayout;
import java.io.Serializable;
import java.util.Map;

/**
 * One layer of a Llama decoder (Touvron et al. 2023): attention and a gated feed-forward network
 * (SwiGLU, Shazeer 2020), each on normalized states and added to them.
 */
final class LlamaLayer implements AttentionLayer, Serializable {
  private static final long serialVersionUID = 1L;

  private final HeadLayout heads;
  private final RotaryPositions rotary;
  private final RmsNorm attentionNorm;
  private final DenseLayer query;
  private final DenseLayer key;
  private final DenseLayer value;
  private final DenseLayer attentionOutput;
  private final RmsNorm feedForwardNorm;
  private final DenseLayer gate;
  private final DenseLayer up;
  private final DenseLayer down;

  LlamaLayer(ModelWeights weights, LlamaConfig config, int layer) {
    String name = name(layer);
    this.heads = config.heads();
    this.rotary = new RotaryPositions(heads.keyDim(), config.theta());
    this.attentionNorm = new RmsNorm(weights, name + "input_layernorm", config.epsilon());
    this.query = DenseLayer.withoutBias(weights, name + "self_attn.q_proj");
    this.key = DenseLayer.withoutBias(weights, name + "self_attn.k_proj");
    this.value = DenseLayer.withoutBias(weights, name + "self_attn.v_proj");
    this.attentionOutput = DenseLayer.withoutBias(weights, name + "self_attn.o_proj");
    this.feedForwardNorm =
        new RmsNorm(weights, name + "post_attention_layernorm", config.epsilon());
    this.gate = DenseLayer.withoutBias(weights, name + "mlp.gate_proj");
    this.up = DenseLayer.withoutBias(weights, name + "mlp.up_proj");
    this.down = DenseLayer.withoutBias(weights, name + "mlp.down_proj");
  }

  private static String name(int layer) {
    return "model.layers." + layer + ".";
  }

  /** Adds the tensors that a layer needs, with their shapes. */
  static void expect(LlamaConfig config, int layer, Map<String, int[]> expected) {
    String name = name(layer);
    int hidden = config.hidden();
    int queries = config.heads().numHeads() * config.heads().keyDim();
    int keys = config.heads().numKeyValueHeads() * config.heads().keyDim();
    expected.put(name + "input_layernorm.weight", new int[] {hidden});
    expected.put(name + "self_attn.q_proj.weight", new int[] {queries, hidden});
    expected.put(name + "self_attn.k_proj.weight", new int[] {keys, hidden});
    expected.put(name + "self_attn.v_proj.weight", new int[] {keys, hidden});
    expected.put(name + "self_attn.o_proj.weight", new int[] {hidden, queries});
    expected.put(name + "post_attention_layernorm.weight", new int[] {hidden});
    expected.put(name + "mlp.gate_proj.weight", new int[] {config.intermediate(), hidden});
    expected.put(name + "mlp.up_proj.weight", new int[] {config.intermediate(), hidden});
    expected.put(name + "mlp.down_proj.weight", new int[] {hidden, config.intermediate()});
  }

  /**
   * Queries, turned to their positions.
   *
   * @param states the layer's input, [rows, hidden], at positions from {@code firstPosition}
   * @return [rows, numHeads, headDim]
   */
  @Override
  public float[] queries(float[] states, int rows, long firstPosition) {
    float[] queries = query.apply(attentionNorm.apply(states, rows), rows);
    rotary.turn(queries, rows, heads.numHeads(), firstPosition);
    return queries;
  }

  /** Keys, turned to their positions, [rows, numKeyValueHeads, headDim]. */
  @Override
  public float[] keys(float[] states, int rows, long firstPosition) {
    float[] keys = key.apply(attentionNorm.apply(states, rows), rows);
    rotary.turn(keys, rows, heads.numKeyValueHeads(), firstPosition);
    return keys;
  }

  /** Values, [rows, numKeyValueHeads, headDim]. */
  @Override
  public float[] values(float[] states, int rows) {
    return value.apply(attentionNorm.apply(states, rows), rows);
  }

  /**
   * What follows the attention.
   *
   * @param states the layer's input, [rows, hidden]
   * @param context the heads' weighted values side by side, [rows, numHeads · headDim]
   * @return the layer's output, [rows, hidden]
   */
  @Override
  public float[] finish(float[] states, float[] context, int rows) {
    float[] attended = attentionOutput.apply(context, rows);
    add(states, attended);
    float[] normal = feedForwardNorm.apply(attended, rows);
    float[] gates = gate.apply(normal, rows);
    float[] inside = up.apply(normal, rows);
    for (int i = 0; i < inside.length; i++) {
      inside[i] *= silu(gates[i]);
    }
    float[] result = down.apply(inside, rows);
    add(attended, result);
    return result;
  }

  /** x / (1 + e^−x), the sigmoid linear unit (Hendrycks and Gimpel 2016). */
  private static float silu(float x) {
    return (float) (x / (1 + Math.exp(-x)));
  }

  private static void add(float[] from, float[] to) {
    for (int i = 0; i < to.length; i++) {
      to[i] += from[i];
    }
  }
}

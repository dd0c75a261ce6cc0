package io.sparkattention.driver.model;

import java.io.Serializable;
import java.util.Map;

/** An attention of a layer and the norm before it. */
record AttentionSublayer(LayerNorm norm, MultiHeadProjection projection) implements Serializable {

  /**
   * Reads an attention and its norm.
   *
   * @param name of the attention; the norm's is {@code name_layer_norm}
   */
  static AttentionSublayer of(ModelWeights weights, String name, double epsilon) {
    return new AttentionSublayer(
        new LayerNorm(weights, name + "_layer_norm", epsilon),
        MultiHeadProjection.of(weights, name));
  }

  /** Adds the tensors that it needs, with their shapes. */
  static void expect(String name, int hidden, Map<String, int[]> expected) {
    expected.put(name + "_layer_norm.weight", new int[] {hidden});
    expected.put(name + "_layer_norm.bias", new int[] {hidden});
    MultiHeadProjection.expect(name, hidden, expected);
  }

  /** Queries of normalized states, [rows, hidden]. */
  float[] queries(float[] states, int rows) {
    return projection.query().apply(norm.normalized(states, rows), rows);
  }

  /** Adds what the heads attended to, [rows, hidden], to the states. */
  void addTo(float[] states, float[] context, int rows) {
    float[] attended = projection.output().apply(context, rows);
    for (int i = 0; i < states.length; i++) {
      states[i] += attended[i];
    }
  }
}

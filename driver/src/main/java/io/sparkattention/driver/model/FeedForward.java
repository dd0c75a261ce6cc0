package io.sparkattention.driver.model;

import java.io.Serializable;
import java.util.Map;

/**
 * The feed-forward network of a layer (Vaswani et al. 2017, equation 2): two dense layers with
 * max(0, x) between them, on normalized states and added to them.
 */
record FeedForward(LayerNorm norm, DenseLayer inner, DenseLayer outer) implements Serializable {

  static FeedForward of(ModelWeights weights, String layer, double epsilon) {
    return new FeedForward(
        new LayerNorm(weights, layer + "final_layer_norm", epsilon),
        DenseLayer.of(weights, layer + "fc1"),
        DenseLayer.of(weights, layer + "fc2"));
  }

  /** Adds the tensors that it needs, with their shapes. */
  static void expect(String layer, int hidden, int intermediate, Map<String, int[]> expected) {
    expected.put(layer + "final_layer_norm.weight", new int[] {hidden});
    expected.put(layer + "final_layer_norm.bias", new int[] {hidden});
    expected.put(layer + "fc1.weight", new int[] {intermediate, hidden});
    expected.put(layer + "fc1.bias", new int[] {intermediate});
    expected.put(layer + "fc2.weight", new int[] {hidden, intermediate});
    expected.put(layer + "fc2.bias", new int[] {hidden});
  }

  /** Adds the network's output to {@code states} [rows, hidden]. */
  void addTo(float[] states, int rows) {
    float[] inside = inner.apply(norm.normalized(states, rows), rows);
    for (int i = 0; i < inside.length; i++) {
      inside[i] = Math.max(0, inside[i]);
    }
    float[] result = outer.apply(inside, rows);
    for (int i = 0; i < states.length; i++) {
      states[i] += result[i];
    }
  }
}

package io.sparkattention.driver.model;

import java.io.Serializable;
import java.util.Map;

/**
 * The four dense layers around a multi-head attention (Vaswani et al. 2017, section 3.2.2), under
 * the names {@code q_proj}, {@code k_proj}, {@code v_proj} and {@code out_proj}.
 */
record MultiHeadProjection(DenseLayer query, DenseLayer key, DenseLayer value, DenseLayer output)
    implements Serializable {

  static MultiHeadProjection of(ModelWeights weights, String name) {
    return new MultiHeadProjection(
        DenseLayer.of(weights, name + ".q_proj"),
        DenseLayer.of(weights, name + ".k_proj"),
        DenseLayer.of(weights, name + ".v_proj"),
        DenseLayer.of(weights, name + ".out_proj"));
  }

  /** Adds the tensors that it needs, with their shapes. */
  static void expect(String name, int hidden, Map<String, int[]> expected) {
    for (String dense : new String[] {".q_proj", ".k_proj", ".v_proj", ".out_proj"}) {
      expected.put(name + dense + ".weight", new int[] {hidden, hidden});
      expected.put(name + dense + ".bias", new int[] {hidden});
    }
  }
}

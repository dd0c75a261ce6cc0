package io.sparkattention.driver.model;

import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The weights of a Llama decoder (Touvron et al. 2023), checked and resolved. Immutable;
 * serializable for a broadcast.
 */
public final class LlamaModel implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final String TOKENS = "model.embed_tokens.weight";
  private static final String LOGITS = "lm_head.weight";
  private static final String NORM = "model.norm";

  private final LlamaConfig config;

  /** [vocabulary, hidden]. */
  private final float[] embeddings;

  private final LlamaLayer[] layers;
  private final RmsNorm norm;
  private final DenseLayer logits;

  private LlamaModel(LlamaConfig config, ModelWeights weights) {
    this.config = config;
    this.embeddings = weights.data(TOKENS);
    this.layers =
        IntStream.range(0, config.layers())
            .mapToObj(layer -> new LlamaLayer(weights, config, layer))
            .toArray(LlamaLayer[]::new);
    this.norm = new RmsNorm(weights, NORM, config.epsilon());
    String head = config.tiedEmbeddings() ? TOKENS : LOGITS;
    this.logits = DenseLayer.withoutBias(weights, head.replace(".weight", ""));
  }

  /**
   * Loads the model of a folder.
   *
   * @throws io.sparkattention.driver.InvalidInputException if it is of another family; one error
   *     lists every tensor that is missing, has another shape or is not used
   */
  public static LlamaModel load(ModelFolder folder) {
    LlamaConfig config = LlamaConfig.read(folder);
    ModelWeights weights = ModelWeights.readSafetensors(folder);
    weights.requireExactly(expected(config, weights), "a Llama decoder");
    return new LlamaModel(config, weights);
  }

  private static Map<String, int[]> expected(LlamaConfig config, ModelWeights weights) {
    int[] byToken = {config.vocabulary(), config.hidden()};
    Map<String, int[]> expected = new LinkedHashMap<>();
    expected.put(TOKENS, byToken);
    // Tied weights are written out by some who export models.
    if (!config.tiedEmbeddings() || weights.names().contains(LOGITS)) {
      expected.put(LOGITS, byToken);
    }
    expected.put(NORM + ".weight", new int[] {config.hidden()});
    for (int layer = 0; layer < config.layers(); layer++) {
      LlamaLayer.expect(config, layer, expected);
    }
    return expected;
  }

  public LlamaConfig config() {
    return config;
  }

  LlamaLayer layer(int index) {
    return layers[index];
  }

  /** The first layer's input, [tokens, hidden]. */
  float[] embed(int[] ids) {
    int hidden = config.hidden();
    float[] states = new float[Math.multiplyExact(ids.length, hidden)];
    for (int row = 0; row < ids.length; row++) {
      System.arraycopy(embeddings, ids[row] * hidden, states, row * hidden, hidden);
    }
    return states;
  }

  /**
   * The logit of each token to be the next.
   *
   * @param state the last layer's output at one position, [hidden]
   * @return [vocabulary]
   */
  float[] logits(float[] state) {
    return logits.apply(norm.apply(state, 1), 1);
  }
}

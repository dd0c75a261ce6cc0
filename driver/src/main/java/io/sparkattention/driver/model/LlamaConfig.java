package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.kernels.HeadLayout;
import java.io.Serializable;

/**
 * The sizes of a Llama decoder (Touvron et al. 2023), as its {@code config.json} gives them.
 *
 * @param vocabulary number of token ids
 * @param positions the longest sequence that it was trained on
 * @param hidden width of a hidden state
 * @param intermediate width of the feed-forward layer's inside
 * @param layers number of layers
 * @param heads of the attention
 * @param epsilon added to mean squares
 * @param theta base of the rotary angles
 * @param tiedEmbeddings whether the logits' weights are the token embeddings
 * @param beginToken id that starts a text
 * @param endToken id that ends one
 */
public record LlamaConfig(
    int vocabulary,
    int positions,
    int hidden,
    int intermediate,
    int layers,
    HeadLayout heads,
    double epsilon,
    double theta,
    boolean tiedEmbeddings,
    int beginToken,
    int endToken)
    implements Serializable {

  /**
   * Reads the configuration of a model's folder.
   *
   * @throws InvalidInputException if it is of another family, or asks for what is not supported
   */
  static LlamaConfig read(ModelFolder folder) {
    ModelConfig config = ModelConfig.read(folder);
    config.requireArchitecture("LlamaForCausalLM");
    config.require("hidden_act", "silu");
    config.requireAbsent("rope_scaling");
    int hidden = config.count("hidden_size");
    int heads = config.count("num_attention_heads");
    int headDim = config.count("head_dim", Math.max(1, hidden / heads));
    return new LlamaConfig(
        config.count("vocab_size"),
        config.count("max_position_embeddings"),
        hidden,
        config.count("intermediate_size"),
        config.count("num_hidden_layers"),
        layout(folder, heads, config.count("num_key_value_heads", heads), headDim),
        config.positive("rms_norm_eps"),
        config.positive("rope_theta"),
        config.flag("tie_word_embeddings"),
        config.tokenId("bos_token_id"),
        config.tokenId("eos_token_id"));
  }

  private static HeadLayout layout(ModelFolder folder, int heads, int keyValueHeads, int headDim) {
    if (heads % keyValueHeads != 0 || headDim % 2 != 0 || headDim > HeadLayout.MAX_HEAD_DIM) {
      throw new InvalidInputException(
          "Invalid heads in '%s/config.json': found %d heads over %d key/value heads of %d, expected whole groups of an even head_dim up to %d; correct the file"
              .formatted(folder, heads, keyValueHeads, headDim, HeadLayout.MAX_HEAD_DIM));
    }
    return new HeadLayout(heads, keyValueHeads, headDim, headDim);
  }
}

package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.kernels.HeadLayout;
import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The weights of an encoder-decoder with normalized sublayer inputs and sinusoidal positions, as
 * M2M100 has them (Fan et al. 2020; Vaswani et al. 2017), checked and resolved. Immutable;
 * serializable for a broadcast.
 */
public final class TranslationModel implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final String ENCODER = "model.encoder.";
  private static final String DECODER = "model.decoder.";
  private static final String TOKENS = "embed_tokens.weight";
  private static final String LOGITS = "lm_head";

  private final HeadLayout encoderHeads;
  private final HeadLayout decoderHeads;
  private final int hidden;
  private final int beginToken;
  private final int endToken;
  private final double embeddingScale;
  private final SinusoidalPositions positions;

  /** [source vocabulary, hidden]. */
  private final float[] sourceEmbeddings;

  /** [target vocabulary, hidden]. */
  private final float[] targetEmbeddings;

  private final EncoderLayer[] encoder;
  private final LayerNorm encoderNorm;
  private final DecoderLayer[] decoder;
  private final LayerNorm decoderNorm;
  private final DenseLayer logits;

  /** One layer of the encoder. */
  record EncoderLayer(AttentionSublayer self, FeedForward feedForward) implements Serializable {}

  /** One layer of the decoder. */
  record DecoderLayer(AttentionSublayer self, AttentionSublayer cross, FeedForward feedForward)
      implements Serializable {}

  private TranslationModel(ModelConfig config, ModelWeights weights) {
    this.hidden = config.count("d_model");
    this.encoderHeads = heads(config, "encoder_attention_heads", hidden);
    this.decoderHeads = heads(config, "decoder_attention_heads", hidden);
    this.beginToken = config.tokenId("bos_token_id");
    this.endToken = config.tokenId("eos_token_id");
    this.embeddingScale = config.flag("scale_embedding") ? Math.sqrt(hidden) : 1;
    // Of M2M100: positions count from the one after the padding's.
    this.positions = new SinusoidalPositions(hidden, config.tokenId("pad_token_id") + 1);
    double epsilon = config.positive("layer_norm_eps");
    weights.requireExactly(expected(config, weights), "an M2M100 encoder-decoder");
    this.sourceEmbeddings = weights.data(ENCODER + TOKENS);
    this.targetEmbeddings = weights.data(DECODER + TOKENS);
    this.encoder =
        IntStream.range(0, config.count("encoder_layers"))
            .mapToObj(layer -> encoderLayer(weights, layer, epsilon))
            .toArray(EncoderLayer[]::new);
    this.encoderNorm = new LayerNorm(weights, ENCODER + "layer_norm", epsilon);
    this.decoder =
        IntStream.range(0, config.count("decoder_layers"))
            .mapToObj(layer -> decoderLayer(weights, layer, epsilon))
            .toArray(DecoderLayer[]::new);
    this.decoderNorm = new LayerNorm(weights, DECODER + "layer_norm", epsilon);
    this.logits = DenseLayer.of(weights, LOGITS);
  }

  /**
   * Loads the model of a folder.
   *
   * @throws InvalidInputException if it is of another family; one error lists every tensor that is
   *     missing, has another shape or is not used
   */
  public static TranslationModel load(ModelFolder folder) {
    ModelConfig config = ModelConfig.read(folder);
    config.requireArchitecture("M2M100ForConditionalGeneration");
    config.require("activation_function", "relu");
    return new TranslationModel(config, ModelWeights.readSafetensors(folder));
  }

  private static HeadLayout heads(ModelConfig config, String name, int hidden) {
    int heads = config.count(name);
    if (hidden % heads != 0 || hidden % 2 != 0) {
      throw new InvalidInputException(
          "Invalid %s: found %d of a d_model of %d, expected a divisor of an even d_model; correct config.json"
              .formatted(name, heads, hidden));
    }
    return new HeadLayout(heads, heads, hidden / heads, hidden / heads);
  }

  private static EncoderLayer encoderLayer(ModelWeights weights, int layer, double epsilon) {
    String name = ENCODER + "layers." + layer + ".";
    return new EncoderLayer(
        AttentionSublayer.of(weights, name + "self_attn", epsilon),
        FeedForward.of(weights, name, epsilon));
  }

  private static DecoderLayer decoderLayer(ModelWeights weights, int layer, double epsilon) {
    String name = DECODER + "layers." + layer + ".";
    return new DecoderLayer(
        AttentionSublayer.of(weights, name + "self_attn", epsilon),
        AttentionSublayer.of(weights, name + "encoder_attn", epsilon),
        FeedForward.of(weights, name, epsilon));
  }

  private Map<String, int[]> expected(ModelConfig config, ModelWeights weights) {
    Map<String, int[]> expected = new LinkedHashMap<>();
    expected.put(ENCODER + TOKENS, new int[] {-1, hidden});
    expected.put(DECODER + TOKENS, new int[] {-1, hidden});
    expected.put(LOGITS + ".weight", new int[] {-1, hidden});
    expected.put(LOGITS + ".bias", new int[] {-1});
    for (String side : new String[] {ENCODER, DECODER}) {
      expected.put(side + "layer_norm.weight", new int[] {hidden});
      expected.put(side + "layer_norm.bias", new int[] {hidden});
    }
    for (int layer = 0; layer < config.count("encoder_layers"); layer++) {
      String name = ENCODER + "layers." + layer + ".";
      AttentionSublayer.expect(name + "self_attn", hidden, expected);
      FeedForward.expect(name, hidden, config.count("encoder_ffn_dim"), expected);
    }
    for (int layer = 0; layer < config.count("decoder_layers"); layer++) {
      String name = DECODER + "layers." + layer + ".";
      AttentionSublayer.expect(name + "self_attn", hidden, expected);
      AttentionSublayer.expect(name + "encoder_attn", hidden, expected);
      FeedForward.expect(name, hidden, config.count("decoder_ffn_dim"), expected);
    }
    return expected;
  }

  HeadLayout encoderHeads() {
    return encoderHeads;
  }

  HeadLayout decoderHeads() {
    return decoderHeads;
  }

  /** Width of a hidden state. */
  int hidden() {
    return hidden;
  }

  /** Id of the token that a translation starts from. */
  int beginToken() {
    return beginToken;
  }

  /** Id of the token that ends a translation. */
  public int endToken() {
    return endToken;
  }

  EncoderLayer[] encoder() {
    return encoder;
  }

  LayerNorm encoderNorm() {
    return encoderNorm;
  }

  DecoderLayer[] decoder() {
    return decoder;
  }

  /** The encoder's input, [tokens, hidden]. */
  float[] embedSource(int[] ids) {
    float[] states = new float[ids.length * hidden];
    for (int row = 0; row < ids.length; row++) {
      embed(sourceEmbeddings, ids[row], row, states, row * hidden);
    }
    return states;
  }

  /** The decoder's input at one position, [hidden]. */
  float[] embedTarget(int id, int position) {
    float[] state = new float[hidden];
    embed(targetEmbeddings, id, position, state, 0);
    return state;
  }

  private void embed(float[] embeddings, int id, int position, float[] rows, int offset) {
    for (int i = 0; i < hidden; i++) {
      rows[offset + i] = (float) (embeddings[id * hidden + i] * embeddingScale);
    }
    positions.add(position, rows, offset);
  }

  /**
   * The logarithm of each token's probability to be the next.
   *
   * @param state the last layer's output at one position, [hidden]
   * @return [target vocabulary]
   */
  double[] logProbabilities(float[] state) {
    float[] scores = logits.apply(decoderNorm.normalized(state, 1), 1);
    double max = Double.NEGATIVE_INFINITY;
    for (float score : scores) {
      max = Math.max(max, score);
    }
    double sum = 0;
    for (float score : scores) {
      sum += Math.exp(score - max);
    }
    double logSum = max + Math.log(sum);
    double[] result = new double[scores.length];
    for (int i = 0; i < result.length; i++) {
      result[i] = scores[i] - logSum;
    }
    return result;
  }
}

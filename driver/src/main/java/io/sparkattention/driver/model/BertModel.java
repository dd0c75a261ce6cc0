package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * The weights of a BERT encoder (Devlin et al. 2018), checked and resolved. Immutable; serializable
 * for a broadcast, where {@link #withLayers withLayers(1)} keeps what a projection needs.
 */
public final class BertModel implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final Pattern LAYER_NAME = Pattern.compile("encoder\\.layer\\.(\\d+)\\..*");
  private static final String WORDS = "embeddings.word_embeddings.weight";
  private static final String POSITIONS = "embeddings.position_embeddings.weight";
  private static final String FIRST_INTERMEDIATE = "encoder.layer.0.intermediate.dense.bias";

  private final BertConfig config;
  private final BertEmbeddings embeddings;
  private final BertLayer[] layers;

  private BertModel(BertConfig config, BertEmbeddings embeddings, BertLayer[] layers) {
    this.config = config;
    this.embeddings = embeddings;
    this.layers = layers;
  }

  /** Loads the model in a folder, all layers. */
  public static BertModel load(ModelFolder folder) {
    if (folder.onnx().isPresent() || folder.safetensors().isEmpty()) {
      return of(ModelWeights.read(folder));
    }
    ModelConfig config = ModelConfig.read(folder);
    config.require("model_type", "bert");
    config.requireOrAbsent("hidden_act", "gelu");
    config.requireOrAbsent("layer_norm_eps", "1.0E-12");
    config.requireOrAbsent("position_embedding_type", "absolute");
    ModelWeights weights =
        ModelWeights.readSafetensors(
            folder, BertModel::nameOfUsed, config.count("num_attention_heads"));
    BertModel model = of(weights);
    Map<String, int[]> all = expected(model.config);
    all.put(WORDS, new int[] {-1, -1});
    weights.requireExactly(all, "a BERT encoder");
    return model;
  }

  /** A tensor's name without its prefix; none for what gives no hidden state. */
  private static Optional<String> nameOfUsed(String inFile) {
    String name = inFile.startsWith("bert.") ? inFile.substring("bert.".length()) : inFile;
    boolean unused = name.startsWith("pooler.") || name.equals("embeddings.position_ids");
    return unused ? Optional.empty() : Optional.of(name);
  }

  /** Resolves weights; one error lists every tensor that is missing or has another shape. */
  public static BertModel of(ModelWeights weights) {
    BertConfig config = infer(weights);
    weights.require(expected(config));
    BertLayer[] layers =
        IntStream.range(0, config.layers())
            .mapToObj(layer -> new BertLayer(weights, layer))
            .toArray(BertLayer[]::new);
    return new BertModel(config, new BertEmbeddings(weights), layers);
  }

  private static BertConfig infer(ModelWeights weights) {
    Map<String, int[]> decisive = new LinkedHashMap<>();
    decisive.put(WORDS, new int[] {-1, -1});
    decisive.put(POSITIONS, new int[] {-1, -1});
    decisive.put(FIRST_INTERMEDIATE, new int[] {-1});
    weights.require(decisive);
    int layers = 0;
    for (String name : weights.names()) {
      Matcher matcher = LAYER_NAME.matcher(name);
      if (matcher.matches()) {
        layers = Math.max(layers, Integer.parseInt(matcher.group(1)) + 1);
      }
    }
    int hidden = weights.axis(WORDS, 1);
    if (weights.numHeads() < 1 || hidden % weights.numHeads() != 0) {
      throw new InvalidInputException(
          "Cannot use the weights in "
              + weights
              + ": "
              + weights.numHeads()
              + " heads do not divide the hidden width "
              + hidden
              + "; expected a BERT encoder");
    }
    return new BertConfig(
        weights.axis(WORDS, 0),
        weights.axis(POSITIONS, 0),
        hidden,
        weights.numHeads(),
        weights.axis(FIRST_INTERMEDIATE, 0),
        layers);
  }

  /** The names of the tensors that these weights of a BERT encoder need, and no others. */
  static Set<String> tensors(ModelWeights weights) {
    Set<String> names = new TreeSet<>(expected(infer(weights)).keySet());
    names.add(WORDS);
    return names;
  }

  private static Map<String, int[]> expected(BertConfig config) {
    int hidden = config.hidden();
    Map<String, int[]> expected = new LinkedHashMap<>();
    expected.put(POSITIONS, new int[] {config.positions(), hidden});
    expected.put("embeddings.token_type_embeddings.weight", new int[] {-1, hidden});
    expected.put("embeddings.LayerNorm.weight", new int[] {hidden});
    expected.put("embeddings.LayerNorm.bias", new int[] {hidden});
    for (int layer = 0; layer < config.layers(); layer++) {
      BertLayer.expect(layer, hidden, config.intermediate(), expected);
    }
    return expected;
  }

  /** The model's sizes. */
  public BertConfig config() {
    return config;
  }

  /** One layer's weights, counted from 0. */
  public BertLayer layer(int layer) {
    return layers[layer];
  }

  /** The same embeddings and the first {@code count} layers only. */
  public BertModel withLayers(int count) {
    return new BertModel(
        config.withLayers(count),
        embeddings,
        List.of(layers).subList(0, count).toArray(BertLayer[]::new));
  }

  /**
   * Writes the first layer's input for one token, [hidden], to {@code rows} from {@code offset} on.
   *
   * @param tokenId below {@link BertConfig#vocabulary()}
   * @param position below {@link BertConfig#positions()}
   */
  public void embed(int tokenId, int position, float[] rows, int offset) {
    embeddings.embed(tokenId, position, rows, offset);
  }

  /**
   * The first layer's input for consecutive tokens, [ids, hidden]; positions beyond the learnt ones
   * begin again at the first.
   */
  float[] embed(int[] ids, long firstPosition) {
    int hidden = config.hidden();
    float[] states = new float[Math.multiplyExact(ids.length, hidden)];
    for (int i = 0; i < ids.length; i++) {
      int position = Positions.WRAP.learnt(firstPosition + i, config.positions());
      embed(ids[i], position, states, i * hidden);
    }
    return states;
  }

  /** Refuses token ids that the vocabulary does not have. */
  void checkIds(int[] ids) {
    for (int position = 0; position < ids.length; position++) {
      if (ids[position] < 0 || ids[position] >= config.vocabulary()) {
        throw new InvalidInputException(
            "Invalid token id "
                + ids[position]
                + " at position "
                + position
                + ": the model's vocabulary has "
                + config.vocabulary()
                + " entries; use the tokenizer.json that belongs to the model");
      }
    }
  }
}

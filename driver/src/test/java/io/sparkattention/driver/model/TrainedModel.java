package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;

/** The trained all-MiniLM-L6-v2 that the build unpacks, loaded once per test JVM. */
public final class TrainedModel {
  private TrainedModel() {}

  private static final class Loaded {
    static final BertModel MODEL = BertModel.load(folder());
    static final OnnxOracle ORACLE = OnnxOracle.open(folder());
  }

  /** The unpacked folder. */
  public static ModelFolder folder() {
    String folder = System.getProperty("attention.model");
    assertThat(folder).as("system property attention.model, set by the build").isNotNull();
    return ModelFolder.at(folder);
  }

  /** All six layers. */
  public static BertModel model() {
    return Loaded.MODEL;
  }

  /** The same weights in ONNX Runtime. */
  public static OnnxOracle oracle() {
    return Loaded.ORACLE;
  }

  /** Token ids with the special tokens. */
  public static int[] ids(String text) {
    return tokenize(text).ids();
  }

  /** The text as the model's tokenizer cuts it. */
  public static TokenizedText tokenize(String text) {
    try (TextTokenizer tokenizer = TextTokenizer.open(folder())) {
      return tokenizer.tokenize(text);
    }
  }
}

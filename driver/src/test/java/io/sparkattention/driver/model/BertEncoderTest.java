package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Against ONNX Runtime on the same trained weights. */
class BertEncoderTest {
  /**
   * Both sides round float32 sums of up to 1536 terms in their own order, six layers deep; hidden
   * states are of order 1: about 2^-24 · √1536 · 6 ≈ 1.4e-5.
   */
  private static final float TOLERANCE = 1.5e-5f;

  private static final String PASSAGE =
      "We hold these truths to be self-evident, that all men are created equal, that they are"
          + " endowed by their Creator with certain unalienable Rights, that among these are Life,"
          + " Liberty and the pursuit of Happiness. ";

  private final BertEncoder encoder = new BertEncoder(TrainedModel.model());

  @ParameterizedTest
  @ValueSource(
      strings = {
        "The animal didn't cross the street because it was tired.",
        "Dog bites man",
        "x",
        "Attention is all you need: naïve café, 日本語, 3.14159 (unaffable) tokenization!",
        "In the beginning God created the heaven and the earth. And the earth was without form."
      })
  void equalsOnnxRuntime(String sentence) {
    assertEqualsOracle(TrainedModel.ids(sentence));
  }

  @Test
  void equalsOnnxRuntimeAtTheModelsFullLength() {
    int[] ids = Arrays.copyOf(TrainedModel.ids(PASSAGE.repeat(14)), 512);
    assertThat(ids[511]).isNotZero();
    assertEqualsOracle(ids);
  }

  private void assertEqualsOracle(int[] ids) {
    Map<String, float[]> expected = TrainedModel.oracle().run(ids);
    EncoderOutput output = encoder.encode(ids);

    assertClose("last_hidden_state", output.lastHiddenState(), expected.get("last_hidden_state"));
    for (int layer = 0; layer < output.layers(); layer++) {
      String name = "layer." + layer + ".probabilities";
      assertClose(name, concatenated(output.probabilities()[layer]), expected.get(name));
    }
  }

  @Test
  void attentionOutputOfTheFirstLayerEqualsOnnxRuntime() {
    int[] ids = TrainedModel.ids(PASSAGE);
    Map<String, float[]> expected = TrainedModel.oracle().run(ids);

    BertEncoder.Attention attention =
        encoder.attend(TrainedModel.model().layer(0), expected.get("embeddings"), ids.length);

    assertClose("context", attention.context(), expected.get("layer.0.context"));
  }

  @Test
  void eachRowOfProbabilitiesSumsToOne() {
    EncoderOutput output = encoder.encode(TrainedModel.ids(PASSAGE));
    for (float[][] layer : output.probabilities()) {
      for (float[] head : layer) {
        for (int from = 0; from < output.tokens(); from++) {
          double sum = 0;
          for (int to = 0; to < output.tokens(); to++) {
            sum += head[from * output.tokens() + to];
          }
          assertThat(sum).isBetween(1 - 1e-6, 1 + 1e-6);
        }
      }
    }
  }

  @Test
  void wordOrderMatters() {
    float[] dog = state("Dog bites man", "dog");
    float[] dogBitten = state("Man bites dog", "dog");

    double cosine = dot(dog, dogBitten) / Math.sqrt(dot(dog, dog) * dot(dogBitten, dogBitten));

    assertThat(cosine).isBetween(0.2, 0.97);
  }

  @Test
  void refusesMoreTokensThanPositions() {
    assertThatThrownBy(() -> encoder.encode(new int[513]))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("513")
        .hasMessageContaining("512")
        .hasMessageContaining("--positions wrap");
  }

  @Test
  void refusesNoTokensAndForeignTokens() {
    assertThatThrownBy(() -> encoder.encode(new int[0])).isInstanceOf(InvalidInputException.class);
    assertThatThrownBy(() -> encoder.encode(new int[] {101, 30522}))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("30522 at position 1");
  }

  private float[] state(String sentence, String word) {
    TokenizedText text = TrainedModel.tokenize(sentence);
    int hidden = TrainedModel.model().config().hidden();
    int position = text.positionsOf(word, 1).get(0);
    float[] states = encoder.encode(text.ids()).lastHiddenState();
    return Arrays.copyOfRange(states, position * hidden, (position + 1) * hidden);
  }

  private static double dot(float[] a, float[] b) {
    double dot = 0;
    for (int i = 0; i < a.length; i++) {
      dot += (double) a[i] * b[i];
    }
    return dot;
  }

  static float[] concatenated(float[][] rows) {
    float[] all = new float[rows.length * rows[0].length];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(rows[i], 0, all, i * rows[0].length, rows[0].length);
    }
    return all;
  }

  private static void assertClose(String what, float[] actual, float[] expected) {
    assertThat(actual).as(what).hasSameSizeAs(expected);
    float worst = 0;
    for (int i = 0; i < actual.length; i++) {
      worst = Math.max(worst, Math.abs(actual[i] - expected[i]));
    }
    assertThat(worst).as(what).isLessThanOrEqualTo(TOLERANCE);
  }
}

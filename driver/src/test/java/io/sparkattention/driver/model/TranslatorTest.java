package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.sparkattention.driver.LocalSession;
import io.sparkattention.driver.model.Translations.Sentence;
import io.sparkattention.driver.model.Translator.Translation;
import io.sparkattention.partitioning.BlockGrid;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** A small trained encoder-decoder: golden translations and log-probabilities. */
class TranslatorTest {
  private static final String NAMES = "aren-transliteration";

  /**
   * Golden numbers have 6 decimals; 12 layers of float32 add a few of their roundings, 6e-8 of
   * states of about 10.
   */
  private static final double TOLERANCE = 1e-5;

  private static TranslationModel model;
  private static TranslationVocabulary vocabulary;
  private static JsonNode golden;

  @BeforeAll
  static void load() {
    ModelFolder folder = SharedModel.folder(NAMES);
    model = TranslationModel.load(folder);
    vocabulary = TranslationVocabulary.read(folder);
    golden = SharedModel.golden(NAMES);
  }

  private static int[] source(JsonNode name) {
    String line =
        StreamSupport.stream(name.path("source").spliterator(), false)
            .map(JsonNode::textValue)
            .collect(Collectors.joining(" "));
    return vocabulary.source(line, "golden");
  }

  private static int[] target(JsonNode name) {
    return vocabulary.target(String.join(" ", name.path("target").textValue().split("")), "golden");
  }

  private static void assertGolden(JsonNode expected, Translation found) {
    StringBuilder text = new StringBuilder();
    for (int token : found.tokens()) {
      text.append(token == model.endToken() ? "" : vocabulary.targetToken(token));
    }
    assertThat(text.toString()).isEqualTo(expected.path("target").textValue());
    assertThat(found.logProbs()).hasSize(expected.path("log_probs").size());
    for (int i = 0; i < found.logProbs().length; i++) {
      assertThat(found.logProbs()[i])
          .as("token %d of %s", i, text)
          .isCloseTo(expected.path("log_probs").get(i).doubleValue(), within(TOLERANCE));
    }
  }

  @Test
  void theGoldenTranslations() {
    Translator translator = new Translator(model, new BlockGrid(2048));
    for (JsonNode name : golden) {
      assertGolden(name, translator.translate(source(name), 40));
      assertGolden(name, translator.score(source(name), target(name)));
    }
  }

  /** Small blocks: states of several of them meet, in encoder, decoder and between them. */
  @Test
  void blocksDoNotMatter() {
    Translator translator = new Translator(model, new BlockGrid(3));
    for (JsonNode name : golden) {
      assertGolden(name, translator.translate(source(name), 40));
    }
  }

  @Test
  void alignmentsAreWeightsOfTheSource() {
    JsonNode name = golden.get(0);
    Translation found = new Translator(model, new BlockGrid(3)).translate(source(name), 40);
    Translation whole = new Translator(model, new BlockGrid(64)).translate(source(name), 40);
    assertThat(found.alignment()).hasNumberOfRows(found.tokens().length);
    for (int i = 0; i < found.alignment().length; i++) {
      float[] row = found.alignment()[i];
      assertThat(row).hasSize(name.path("source").size());
      double sum = 0;
      for (int key = 0; key < row.length; key++) {
        assertThat(row[key]).isBetween(0f, 1f);
        assertThat((double) row[key]).isCloseTo(whole.alignment()[i][key], within(TOLERANCE));
        sum += row[key];
      }
      assertThat(sum).isCloseTo(1, within(TOLERANCE));
    }
  }

  @Test
  void aTranslationIsCutOffWhereItIsTooLong() {
    Translator translator = new Translator(model, new BlockGrid(64));
    Translation whole = translator.translate(source(golden.get(0)), 40);
    Translation part = translator.translate(source(golden.get(0)), 3);
    assertThat(part.tokens())
        .containsExactly(whole.tokens()[0], whole.tokens()[1], whole.tokens()[2]);
  }

  @Test
  void manyOverTheTasksOfACluster() {
    List<Sentence> sentences = new ArrayList<>();
    for (JsonNode name : golden) {
      sentences.add(new Sentence(source(name), null));
      sentences.add(new Sentence(source(name), target(name)));
    }
    List<Translation> found =
        Translations.of(LocalSession.get(), model, new BlockGrid(2048), sentences, 40);
    assertThat(found).hasSameSizeAs(sentences);
    for (int i = 0; i < found.size(); i++) {
      assertGolden(golden.get(i / 2), found.get(i));
    }
  }
}

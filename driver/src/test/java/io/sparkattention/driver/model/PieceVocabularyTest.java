package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PieceVocabularyTest {
  private static final String STORIES = "stories260K";
  private static PieceVocabulary vocabulary;
  private static JsonNode golden;

  @BeforeAll
  static void read() {
    ModelFolder folder = SharedModel.folder(STORIES);
    vocabulary = PieceVocabulary.read(folder, LlamaConfig.read(folder));
    golden = SharedModel.golden(STORIES);
  }

  @Test
  void theGoldenText() {
    int[] tokens = SharedModel.integers(golden.path("greedy_tokens"));
    assertThat(vocabulary.decode(tokens)).isEqualTo(golden.path("text").textValue());
  }

  /** The model wrote the text in the tokens in which it would read it. */
  @Test
  void theGoldenTokensOfTheText() {
    assertThat(vocabulary.encode(golden.path("text").textValue()))
        .isEqualTo(SharedModel.integers(golden.path("greedy_tokens")));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "a", "  two  spaces ", "line\nbreak", "naïve ☃ 𝄞", "<0x41>"})
  void aTextIsThereAgain(String text) {
    assertThat(vocabulary.decode(vocabulary.encode(text))).isEqualTo(text);
  }
}

package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.sparkattention.driver.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TextTokenizerTest {
  private TextTokenizer tokenizer;

  @BeforeEach
  void open() {
    tokenizer = TextTokenizer.open(TrainedModel.folder());
  }

  @AfterEach
  void close() {
    tokenizer.close();
  }

  @Test
  void idsOfBertsVocabularyBetweenTheSpecialTokens() {
    TokenizedText text = tokenizer.tokenize("Hello, tokenization!");

    assertThat(tokens(text))
        .containsExactly("[CLS]", "hello", ",", "token", "##ization", "!", "[SEP]");
    assertThat(text.ids()).containsExactly(101, 7592, 1010, 19204, 3989, 999, 102);
  }

  @Test
  void nothingIsCutOffAndNothingIsPadded() {
    TokenizedText text = tokenizer.tokenize("one two three ".repeat(1000));

    assertThat(text.size()).isEqualTo(3002);
    assertThat(text.token(3000)).isEqualTo("three");
    assertThat(text.token(3001)).isEqualTo("[SEP]");
    assertThat(tokenizer.tokenize("x").size()).isEqualTo(3);
    assertThat(tokenizer.tokenize("").ids()).containsExactly(101, 102);
  }

  @Test
  void rangesPointIntoTheTextAlsoBeyondTheBasicPlane() {
    TokenizedText text = tokenizer.tokenize("😀 Café 日x");

    assertThat(tokens(text)).containsExactly("[CLS]", "[UNK]", "cafe", "日", "x", "[SEP]");
    assertThat(
            IntStream.range(0, text.size())
                .mapToObj(i -> text.text().substring(text.start(i), text.end(i))))
        .containsExactly("", "😀", "Café", "日", "x", "");
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5})
  void aCutAtWhitespaceChangesNothing(long seed) {
    Random random = new Random(seed);
    List<String> pieces =
        List.of(
            " ",
            "  ",
            "\n",
            "\r\n",
            "\t",
            "\u00a0",
            "\u2028",
            "\u0301",
            "e\u0301",
            "É",
            "ß",
            "İ",
            "Σ",
            "日本",
            "😀",
            "\ud835\udd18",
            "[SEP]",
            "[",
            "didn't",
            "unaffable",
            "-",
            "...",
            "\u0000",
            "\u200b",
            "a".repeat(120),
            "3.14",
            "\ufffd",
            "한국",
            "\u093f");
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 3000; i++) {
      text.append(pieces.get(random.nextInt(pieces.size())));
    }
    TokenizedText whole = tokenizer.tokenize(text.toString(), Integer.MAX_VALUE);

    for (int unitsAtOnce : new int[] {1, 17, 256}) {
      assertSame(tokenizer.tokenize(text.toString(), unitsAtOnce), whole);
    }
  }

  @Test
  void aCutAtWhitespaceChangesNothingInABook() throws IOException {
    TokenizedText whole = tokenizer.tokenize(sharedText("alice29.txt"), Integer.MAX_VALUE);

    assertThat(whole.size()).isGreaterThan(30_000);
    assertSame(tokenizer.tokenize(whole.text(), 1000), whole);
    assertSame(tokenizer.tokenize(whole.text()), whole);
  }

  @Test
  void aMillionTokens() throws IOException {
    TokenizedText text = tokenizer.tokenize(sharedText("kjv.txt"));

    assertThat(text.size()).isEqualTo(1_150_622);
    assertThat(text.end(text.size() - 2)).isGreaterThan(4_400_000);
  }

  private static String sharedText(String name) throws IOException {
    Path file = Path.of(System.getProperty("attention.shared"), "texts", name);
    assumeThat(file).as("shared texts beside the project").exists();
    return Files.readString(file);
  }

  private static void assertSame(TokenizedText actual, TokenizedText expected) {
    assertThat(actual.ids()).isEqualTo(expected.ids());
    assertThat(tokens(actual)).isEqualTo(tokens(expected));
    assertThat(ranges(actual)).isEqualTo(ranges(expected));
  }

  private static List<Integer> ranges(TokenizedText text) {
    return IntStream.range(0, text.size())
        .flatMap(i -> IntStream.of(text.start(i), text.end(i)))
        .boxed()
        .toList();
  }

  private static List<String> tokens(TokenizedText text) {
    return IntStream.range(0, text.size()).mapToObj(text::token).toList();
  }

  @Test
  void findsWordsByOccurrence() {
    TokenizedText text = tokenizer.tokenize("It said: the unit is Unaffable, is it?");

    assertThat(text.positionsOf("it", 1)).containsExactly(1);
    assertThat(tokens(text).get(text.positionsOf("it", 2).get(0))).isEqualTo("it");
    assertThat(text.positionsOf("it", 2).get(0)).isEqualTo(text.size() - 3);
    assertThat(text.positionsOf("unaffable", 1)).hasSizeGreaterThan(1);
    assertThatThrownBy(() -> text.positionsOf("it", 3))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("\"it\"")
        .hasMessageContaining("found it 2 times");
    assertThatThrownBy(() -> text.positionsOf("", 1)).isInstanceOf(InvalidInputException.class);
  }

  @Test
  void refusesHalfASurrogatePair() {
    assertThatThrownBy(() -> tokenizer.tokenize("ok \ud83d no"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("index 3");
  }

  @Test
  void refusesWhatIsNoTokenizer(@TempDir Path folder) throws IOException {
    assertThatThrownBy(() -> TextTokenizer.open(ModelFolder.at(folder.toString())))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("no tokenizer.json");
    Files.writeString(folder.resolve("tokenizer.json"), "{\"model\": 3}");
    assertThatThrownBy(() -> TextTokenizer.open(ModelFolder.at(folder.toString())))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("Cannot read tokenizer");
  }
}

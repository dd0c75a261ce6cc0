package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.LocalSession;
import io.sparkattention.driver.model.HeadStatistics.Kind;
import java.util.List;
import org.junit.jupiter.api.Test;

class HeadStatisticsTest {
  private static final List<String> PASSAGES =
      List.of(
          "The animal didn't cross the street because it was tired.",
          "Dog bites man",
          "She poured water into the glass because it was empty.",
          "the more the merrier",
          "x");

  @Test
  void sumsOfThreeTokensByHand() {
    // [CLS] a a [SEP], of which the middle two attend.
    float[] weights = {1, 0, 0, 0, .5f, .25f, .125f, .125f, .25f, .25f, .25f, .25f, 0, 0, 0, 1};
    HeadStatistics statistics = HeadStatistics.empty(1, 1);
    statistics.add(
        new int[] {101, 7, 7, 102},
        new boolean[] {true, false, false, true},
        new EncoderOutput(4, new float[0], new float[][][] {{weights}}));

    assertThat(statistics.attendingTokens()).isEqualTo(2);
    assertMean(statistics, Kind.PREVIOUS, (.5 + .25) / 2);
    assertMean(statistics, Kind.NEXT, (.125 + .25) / 2);
    assertMean(statistics, Kind.SAME_WORD, (.125 + .25) / 2);
    assertMean(statistics, Kind.SEPARATORS, (.5 + .125 + .5) / 2);
    assertMean(statistics, Kind.ITSELF, (.25 + .25) / 2);
    assertMean(statistics, Kind.DISTANCE, (.5 + .125 + .25 + 1.0) / 2);
    assertMean(
        statistics,
        Kind.ENTROPY,
        (.5 * Math.log(2) + .25 * Math.log(4) + .25 * Math.log(8) + Math.log(4)) / 2);
  }

  /** Each sum is rounded once, by half of 2^-32 at most. */
  private static void assertMean(HeadStatistics statistics, Kind kind, double expected) {
    assertThat(statistics.mean(0, 0, kind)).as(kind.column()).isCloseTo(expected, within(0x1p-32));
  }

  @Test
  void thePageIsWellFormedAndTellsEveryNumber() {
    TokenizedText text = TrainedModel.tokenize("Dog bites man & man bites dog");
    HeadStatistics statistics = HeadStatistics.empty(6, 12);
    boolean[] separators = new boolean[text.size()];
    separators[0] = true;
    separators[separators.length - 1] = true;
    statistics.add(
        text.ids(), separators, new BertEncoder(TrainedModel.model()).encode(text.ids()));

    String html = new HeadStatisticsPage("a<b>", statistics).html();

    var page = AttentionHeatMapTest.parse(html);
    assertThat(page.getElementsByTagName("rect").getLength()).isEqualTo(7 * 72);
    assertThat(page.getElementsByTagName("h1").item(0).getTextContent()).contains("a<b>");
    assertThat(html.replace("http://www.w3.org/2000/svg", "")).doesNotContain("://", "url(");
    assertThat(statistics.mean(0, 0, Kind.PREVIOUS)).isBetween(0.0, 1.0);
  }

  @Test
  void doesNotDependOnThePartitions() {
    BertModel model = TrainedModel.model();
    Passages passages = new Passages();
    HeadStatistics direct = HeadStatistics.empty(6, 12);
    for (String passage : PASSAGES) {
      TokenizedText text = TrainedModel.tokenize(passage);
      passages.add(text, model, passage);
      boolean[] separators = new boolean[text.size()];
      separators[0] = true;
      separators[separators.length - 1] = true;
      direct.add(text.ids(), separators, new BertEncoder(model).encode(text.ids()));
    }
    for (int partitions : new int[] {1, 2, 5}) {
      HeadStatistics spread = passages.statistics(LocalSession.get(), model, partitions);
      assertThat(spread.passages()).isEqualTo(PASSAGES.size());
      assertThat(spread.attendingTokens()).isEqualTo(direct.attendingTokens());
      for (int head = 0; head < 72; head++) {
        for (Kind kind : Kind.values()) {
          assertThat(spread.mean(head / 12, head % 12, kind))
              .as("%s of head %d, %d partitions", kind, head, partitions)
              .isEqualTo(direct.mean(head / 12, head % 12, kind));
        }
      }
    }
  }

  @Test
  void refusesAPassageOfMoreTokensThanPositions() {
    TokenizedText text = TrainedModel.tokenize("word ".repeat(600));
    assertThatThrownBy(() -> new Passages().add(text, TrainedModel.model(), "line 3 of 'x'"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot encode line 3 of 'x': found 602 tokens, expected at most the model's 512 positions; split the passage");
  }
}

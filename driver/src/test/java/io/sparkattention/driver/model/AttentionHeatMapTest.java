package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.model.HeadLinks.HeadLink;
import io.sparkattention.driver.model.HeadLinks.Word;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

class AttentionHeatMapTest {
  private static final String SENTENCE = "The animal didn't cross the street because it was tired.";

  private final BertEncoder encoder = new BertEncoder(TrainedModel.model());

  private AttentionHeatMap page(String sentence, String source, String target, String rival) {
    TokenizedText text = TrainedModel.tokenize(sentence);
    EncoderOutput output = encoder.encode(text.ids());
    return new AttentionHeatMap(
        "all-MiniLM-L6-v2", text, output, links(text, output, source, target, rival));
  }

  private static HeadLinks links(
      TokenizedText text, EncoderOutput output, String source, String target, String rival) {
    return HeadLinks.rank(
        output, Word.in(text, source, 1), Word.in(text, target, 1), Word.in(text, rival, 1));
  }

  /** Position of a word that is one token. */
  private static int position(TokenizedText text, String word) {
    List<Integer> positions = text.positionsOf(word, 1);
    assertThat(positions).hasSize(1);
    return positions.get(0);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        SENTENCE + "|it|animal|street",
        "She poured water into the glass because it was empty.|it|glass|water",
        "The chef cooked pasta and served it hot.|it|pasta|chef"
      })
  void ranksHeadsAsOnnxRuntimeDoes(String sentence, String source, String target, String rival) {
    TokenizedText text = TrainedModel.tokenize(sentence);
    Map<String, float[]> expected = TrainedModel.oracle().run(text.ids());
    List<double[]> heads = new ArrayList<>();
    int tokens = text.size();
    for (int layer = 0; layer < 6; layer++) {
      float[] weights = expected.get("layer." + layer + ".probabilities");
      for (int head = 0; head < 12; head++) {
        int row = (head * tokens + position(text, source)) * tokens;
        double toTarget = weights[row + position(text, target)];
        double toRival = weights[row + position(text, rival)];
        heads.add(new double[] {layer, head, toTarget, toRival});
      }
    }
    heads.sort(Comparator.comparingDouble(head -> -head[2]));

    List<HeadLink> ranked = links(text, encoder.encode(text.ids()), source, target, rival).ranked();

    assertThat(ranked).hasSize(72);
    for (int i = 0; i < ranked.size(); i++) {
      HeadLink link = ranked.get(i);
      assertThat(link.rank()).isEqualTo(i + 1);
      assertThat(link.weight()).isCloseTo(heads.get(i)[2], within(1e-5));
      if (i < 10) {
        assertThat(link.layer()).isEqualTo((int) heads.get(i)[0]);
        assertThat(link.head()).isEqualTo((int) heads.get(i)[1]);
        assertThat(link.rivalWeight()).isCloseTo(heads.get(i)[3], within(1e-5));
      }
    }
  }

  @Test
  void wordsOfSeveralTokensAreSummedAsTargetsAndAveragedAsSources() {
    float[] weights = {.7f, .1f, .2f, .5f, .25f, .25f, .1f, .6f, .3f};
    EncoderOutput output = new EncoderOutput(3, new float[0], new float[][][] {{weights}});

    HeadLinks links =
        HeadLinks.rank(
            output,
            new Word("s", List.of(0, 1)),
            new Word("t", List.of(1, 2)),
            new Word("r", List.of(2)));

    HeadLink link = links.ranked().get(0);
    assertThat(link.weight()).isCloseTo((.1 + .2 + .25 + .25) / 2, within(1e-7));
    assertThat(link.rivalWeight()).isCloseTo((.2 + .25) / 2, within(1e-7));
    assertThat(link.averageWeight()).isCloseTo((.3 + .5 + .9) / 3, within(1e-7));
    assertThat(link.strongest()).isZero();
    assertThat(links.preferring()).isEqualTo(1);
  }

  @Test
  void thePageIsWellFormedAndShowsEveryWeightOfItsMaps() {
    TokenizedText text = TrainedModel.tokenize(SENTENCE);
    EncoderOutput output = encoder.encode(text.ids());
    HeadLinks links = links(text, output, "it", "animal", "street");

    Document page = parse(new AttentionHeatMap("MiniLM", text, output, links).html());

    assertThat(page.getElementsByTagName("svg").getLength()).isEqualTo(4);
    assertThat(page.getElementsByTagName("img").getLength()).isEqualTo(72);
    List<String> expected = new ArrayList<>();
    for (HeadLink link : links.ranked().subList(0, 4)) {
      for (int from = 0; from < text.size(); from++) {
        for (int to = 0; to < text.size(); to++) {
          float weight = output.probability(link.layer(), link.head(), from, to);
          expected.add(
              String.format(
                  Locale.ROOT, "%s → %s: %.4f", text.token(from), text.token(to), weight));
        }
      }
    }
    NodeList titles = page.getElementsByTagName("title");
    assertThat(titles.getLength()).isEqualTo(1 + expected.size());
    for (int i = 0; i < expected.size(); i++) {
      assertThat(titles.item(i + 1).getTextContent()).isEqualTo(expected.get(i));
    }
  }

  @Test
  void everyHeadHasAMapAndItsStrongArcs() {
    TokenizedText text = TrainedModel.tokenize(SENTENCE);
    EncoderOutput output = encoder.encode(text.ids());

    Document page =
        parse(AttentionHeatMap.ofEveryHead("MiniLM", text, output, Optional.empty()).html());

    NodeList drawings = page.getElementsByTagName("svg");
    assertThat(drawings.getLength()).isEqualTo(2 * 72);
    for (int i = 0; i < 72; i++) {
      NodeList arcs = ((Element) drawings.item(2 * i + 1)).getElementsByTagName("path");
      float[] weights = output.probabilities()[i / 12][i % 12];
      List<String> expected = new ArrayList<>();
      for (int at = 0; at < weights.length; at++) {
        if (weights[at] >= TokenArcs.WEAKEST) {
          expected.add(
              String.format(
                  Locale.ROOT,
                  "%s → %s: %.4f",
                  text.token(at / text.size()),
                  text.token(at % text.size()),
                  weights[at]));
        }
      }
      assertThat(arcs.getLength()).isEqualTo(expected.size());
      for (int arc = 0; arc < expected.size(); arc++) {
        assertThat(arcs.item(arc).getTextContent()).isEqualTo(expected.get(arc));
      }
      NodeList cells = ((Element) drawings.item(2 * i)).getElementsByTagName("title");
      assertThat(cells.getLength()).isEqualTo(weights.length);
    }
  }

  @Test
  void longerTextsTellTheStrongestWeightsOfEachRow() {
    TokenizedText text = TrainedModel.tokenize("it saw a dog and a cat ".repeat(13));
    EncoderOutput output = encoder.encode(text.ids());
    assertThat(text.size()).isEqualTo(93);

    Document page =
        parse(AttentionHeatMap.ofEveryHead("MiniLM", text, output, Optional.empty()).html());

    Element map = (Element) page.getElementsByTagName("svg").item(0);
    assertThat(map.getElementsByTagName("image").getLength()).isEqualTo(1);
    assertThat(map.getElementsByTagName("title").getLength()).isEqualTo(8 * 93);
    List<TokenLink> links = TokenLink.strongest(text, output, 8);
    for (int i = 0; i < 8 * 93; i++) {
      TokenLink link = links.get(i);
      assertThat(map.getElementsByTagName("title").item(i).getTextContent())
          .isEqualTo(
              String.format(
                  Locale.ROOT, "%s → %s: %.4f", link.fromToken(), link.toToken(), link.weight()));
    }
  }

  @Test
  void strongestLinksFallInWeightAndTiesGoToTheEarlier() {
    TokenizedText text = TrainedModel.tokenize("a");
    float[] weights = {.2f, .6f, .2f, .4f, .2f, .4f, 0, 0, 1};
    EncoderOutput output = new EncoderOutput(3, new float[0], new float[][][] {{weights}});

    assertThat(TokenLink.strongest(text, output, 2))
        .containsExactly(
            new TokenLink(0, 0, 0, "[CLS]", 1, "a", .6f),
            new TokenLink(0, 0, 0, "[CLS]", 0, "[CLS]", .2f),
            new TokenLink(0, 0, 1, "a", 0, "[CLS]", .4f),
            new TokenLink(0, 0, 1, "a", 2, "[SEP]", .4f),
            new TokenLink(0, 0, 2, "[SEP]", 2, "[SEP]", 1),
            new TokenLink(0, 0, 2, "[SEP]", 0, "[CLS]", 0));
    assertThat(TokenLink.strongest(text, output, 9)).hasSize(9);
  }

  @Test
  void picturesHoldTheWeightsAsOpacity() throws IOException {
    double[] opacity = {0, 0.25, 0.5, 1};
    String address = AlphaPng.dataAddress(opacity, 2, 0x123456);
    byte[] png = Base64.getDecoder().decode(address.substring(address.indexOf(',') + 1));

    int[] pixels = ImageIO.read(new ByteArrayInputStream(png)).getRGB(0, 0, 2, 2, null, 0, 2);

    assertThat(pixels).containsExactly(0x00123456, 0x40123456, 0x80123456, 0xff123456);
  }

  @Test
  void textIsEscapedEverywhere() {
    String attack = "<script>alert('x')</script> & \"it\" \u0001 said <b onclick=\"y\"> to a dog";

    String html = page(attack, "it", "dog", "alert").html();

    Document page = parse(html);
    assertThat(page.getElementsByTagName("script").getLength()).isZero();
    assertThat(page.getElementsByTagName("p").item(0).getTextContent())
        .isEqualTo(attack.replace('\u0001', '\ufffd'));
    NodeList bold = page.getElementsByTagName("b");
    for (int i = 0; i < bold.getLength(); i++) {
      assertThat(((Element) bold.item(i)).getAttribute("onclick")).isEmpty();
    }
    assertThat(html).doesNotContain("<script", "onclick=\"");
    assertThat(Markup.escape("a<b>&\"'\u0000\u0085\ud83d\ude00"))
        .isEqualTo("a&lt;b&gt;&amp;&quot;&#39;\ufffd\ufffd\ud83d\ude00");
  }

  @Test
  void thePageAsksNoNetwork() {
    String html = page(SENTENCE, "it", "animal", "street").html();

    assertThat(html.replace("http://www.w3.org/2000/svg", "")).doesNotContain("://", "url(");
    assertThat(html).contains("default-src 'none'", "not a coreference resolver");
  }

  @Test
  void writesWholeFilesAndOverwritesOnlyWhenAsked(@TempDir Path folder) throws IOException {
    AttentionHeatMap page = page(SENTENCE, "it", "animal", "street");
    Path file = folder.resolve("heads.html");
    page.write(file, false);

    assertThat(file).hasContent(page.html());
    assertThatThrownBy(() -> page.write(file, false))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("--overwrite");
    page.write(file, true);
    try (var files = Files.list(folder)) {
      assertThat(files).containsExactly(file);
    }
    assertThatThrownBy(() -> page.write(folder.resolve("absent/heads.html"), false))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("Cannot write");
  }

  @Test
  void refusesTextsTooLongToRead() {
    assertThatThrownBy(() -> page("it saw a dog and a cat ".repeat(20), "it", "dog", "cat"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("at most 96");
  }

  static Document parse(String html) {
    try {
      DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
      return factory.newDocumentBuilder().parse(new InputSource(new StringReader(html)));
    } catch (Exception e) {
      throw new AssertionError("The page is not well-formed", e);
    }
  }
}

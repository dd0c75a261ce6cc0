package io.sparkattention.jobs.scale;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.jobs.scale.BarPlot.Bar;
import io.sparkattention.jobs.scale.LinePlot.Point;
import java.io.StringReader;
import java.util.List;
import java.util.Random;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.w3c.dom.Document;
import org.xml.sax.InputSource;

class PlotTest {
  static Document parse(String xml) {
    try {
      return DocumentBuilderFactory.newInstance()
          .newDocumentBuilder()
          .parse(new InputSource(new StringReader(xml)));
    } catch (Exception e) {
      throw new AssertionError("Not well-formed: " + xml, e);
    }
  }

  private static List<String> ticks(Axis axis) {
    return axis.ticks().stream().map(axis::tickText).toList();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "0 | 97     | 0 20 40 60 80 100",
        "0 | 100    | 0 20 40 60 80 100",
        "0 | 0.031  | 0.00 0.01 0.02 0.03 0.04",
        "1 | 1.1    | 1.00 1.02 1.04 1.06 1.08 1.10",
        "0 | 12345  | 0 5,000 10,000 15,000",
        "0 | 0      | 0 1",
      })
  void linearTicksAreRound(double from, double most, String expected) {
    assertThat(ticks(Axis.linear("", from, List.of(most)))).containsExactly(expected.split(" "));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "0.3  | 7     | 0.2 0.5 1 2 5 10",
        "2    | 2     | 2 5",
        "10   | 10    | 10 20",
        "0.01 | 30    | 0.01 0.1 1 10 100",
        "900  | 1100  | 500 1,000 2,000",
      })
  void logarithmicTicksAreRound(double least, double most, String expected) {
    assertThat(ticks(Axis.logarithmic("", List.of(least, most))))
        .containsExactly(expected.split(" "));
  }

  @Test
  void allValuesAreInsideTheirAxis() {
    long seed = 20_261_125;
    Random random = new Random(seed);
    for (int i = 0; i < 2_000; i++) {
      double a = Math.exp(40 * random.nextDouble() - 20);
      double b = a * Math.exp(random.nextInt(3) * 5 * random.nextDouble());
      List<Double> both = List.of(a, b);
      for (Axis axis :
          List.of(
              Axis.linear("", 0, both), Axis.logarithmic("", both), Axis.logarithmicAt("", both))) {
        assertThat(axis.position(a)).as("seed %d: %s", seed, both).isBetween(-1e-9, 1 + 1e-9);
        assertThat(axis.position(b)).as("seed %d: %s", seed, both).isBetween(-1e-9, 1 + 1e-9);
        assertThat(axis.ticks()).as("seed %d: %s", seed, both).hasSizeBetween(1, 25);
      }
    }
  }

  @Test
  void logarithmicPositionsAreEquallyFarForEqualRatios() {
    Axis axis = Axis.logarithmicAt("cores", List.of(1.0, 2.0, 4.0));
    assertThat(ticks(axis)).containsExactly("1", "2", "4");
    assertThat(axis.position(2) - axis.position(1))
        .isCloseTo(axis.position(4) - axis.position(2), within(1e-12));
    assertThat(Axis.logarithmicAt("cores", List.of(3.0)).position(3)).isCloseTo(0.5, within(1e-12));
  }

  @Test
  void textsAreEscapedAndTicksDoNotOverlap() {
    List<Double> tokens = List.of(1e6, 1e6 + 1, 1e6 + 2, 2e6);
    LinePlot plot =
        new LinePlot("a < b", Axis.logarithmicAt("n & m", tokens), Axis.linear("s", 0, tokens));
    plot.line(List.of(new Point(2e6, 1), new Point(1e6, 2)), LineStyle.of(0));
    plot.mark(new Point(1e6, 2, 1, 3), LineStyle.of(1), "<script>");
    plot.legend().line(LineStyle.of(0), "\"local[2]\"");
    String svg = plot.svg();
    assertThat(parse(svg).getElementsByTagName("path").getLength()).isEqualTo(2);
    assertThat(svg).contains("a &lt; b", "n &amp; m", "&lt;script&gt;", "&quot;local[2]&quot;");
    assertThat(svg).contains(">1,000,000<").doesNotContain(">1,000,001<").contains(">2,000,000<");
  }

  @Test
  void barsAreAsLongAsTheirParts() {
    BarPlot plot =
        new BarPlot("d", "seconds", 0, List.of("p", "q"), List.of("#111111", "#222222"), "m");
    plot.bar(new Bar("first", List.of(1.0, 3.0), 2, "4 s"));
    plot.bar(new Bar("second", List.of(2.0, 0.0), -1, "2 s"));
    Document svg = parse(plot.svg());
    double[] widths = new double[4];
    // Two in the legend come first.
    for (int i = 0; i < 4; i++) {
      var rect = svg.getElementsByTagName("rect").item(2 + i);
      widths[i] = Double.parseDouble(rect.getAttributes().getNamedItem("width").getNodeValue());
    }
    assertThat(widths[1]).isCloseTo(3 * widths[0], within(0.2));
    assertThat(widths[2]).isCloseTo(2 * widths[0], within(0.2));
    assertThat(widths[3]).isZero();
  }
}

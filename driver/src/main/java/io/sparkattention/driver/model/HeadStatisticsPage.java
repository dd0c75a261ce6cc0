package io.sparkattention.driver.model;

import io.sparkattention.driver.model.HeadStatistics.Kind;
import java.util.Locale;

/**
 * A self-contained HTML page of {@link HeadStatistics}: for each number a grid of layers and heads,
 * darker where it is larger.
 */
public final class HeadStatisticsPage {
  private static final int WIDTH = 46;
  private static final int HEIGHT = 28;
  private static final int SIDE = 62;
  private static final int TOP = 34;

  private final String model;
  private final HeadStatistics statistics;

  /**
   * @param model the model's name, for the reader
   */
  public HeadStatisticsPage(String model, HeadStatistics statistics) {
    this.model = model;
    this.statistics = statistics;
  }

  /** The page, well-formed as HTML and as XML. */
  public String html() {
    StringBuilder page = new StringBuilder();
    page.append(HeatMapStyle.opening("What the heads of " + Markup.escape(model) + " look at"))
        .append(
            format(
                "<p>Means over %,d attending tokens of %,d passages; the tokens that frame a"
                    + " passage are attended to (separators) but not counted as attending. The"
                    + " shares overlap: the previous token may be a separator, too. Layers and"
                    + " heads count from 0. Hover over a cell for its number.</p>\n",
                statistics.attendingTokens(), statistics.passages()))
        .append("<p class=\"note\">A share says where a head looks in these texts, not what the")
        .append(" model does with it.</p>\n<div class=\"maps\">\n");
    for (Kind kind : Kind.values()) {
      appendGrid(page, kind);
    }
    return page.append("</div>\n</body>\n</html>\n").toString();
  }

  private void appendGrid(StringBuilder page, Kind kind) {
    double largest = 0;
    for (int layer = 0; layer < statistics.layers(); layer++) {
      for (int head = 0; head < statistics.numHeads(); head++) {
        largest = Math.max(largest, statistics.mean(layer, head, kind));
      }
    }
    String name = Markup.escape(kind.description());
    page.append(
        format(
            "<figure><figcaption><b>%s</b> · %s</figcaption>\n"
                + "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\""
                + " aria-label=\"%s\">\n<text class=\"axis\" x=\"%d\" y=\"11\""
                + " text-anchor=\"middle\">head</text>\n",
            name,
            kind.isShare() ? "full colour: 1" : format("full colour: %.2f, the largest", largest),
            SIDE + WIDTH * statistics.numHeads() + 2,
            TOP + HEIGHT * statistics.layers() + 2,
            name,
            SIDE + WIDTH * statistics.numHeads() / 2));
    for (int head = 0; head < statistics.numHeads(); head++) {
      page.append(label(SIDE + WIDTH * head + WIDTH / 2, TOP - 8, "middle", "" + head));
    }
    for (int layer = 0; layer < statistics.layers(); layer++) {
      int middle = TOP + HEIGHT * layer + HEIGHT / 2 + 4;
      page.append(label(SIDE - 8, middle, "end", "layer " + layer));
      for (int head = 0; head < statistics.numHeads(); head++) {
        appendCell(page, layer, head, kind, kind.isShare() ? 1 : largest);
      }
    }
    page.append("</svg></figure>\n");
  }

  private static String label(int x, int y, String anchor, String text) {
    return format(
        "<text class=\"axis\" x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>\n",
        x, y, anchor, text);
  }

  private void appendCell(StringBuilder page, int layer, int head, Kind kind, double full) {
    double mean = statistics.mean(layer, head, kind);
    int x = SIDE + WIDTH * head;
    int y = TOP + HEIGHT * layer;
    page.append(
        format(
            "<rect class=\"share\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\""
                + " fill-opacity=\"%.3f\"><title>Layer %d, head %d, %s: %.4f</title></rect>\n"
                + "<text class=\"number\" x=\"%d\" y=\"%d\">%s</text>\n",
            x,
            y,
            WIDTH,
            HEIGHT,
            full == 0 ? 0 : Math.min(1, mean / full),
            layer,
            head,
            Markup.escape(kind.description()),
            mean,
            x + WIDTH / 2,
            y + HEIGHT / 2 + 4,
            format("%.2f", mean)));
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}

package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.model.HeadLinks.HeadLink;
import io.sparkattention.driver.model.HeadLinks.Word;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.UUID;

/**
 * One HTML page about an encoder's attention weights on a sentence: the heads ranked by a link
 * between two words, heat maps of the strongest ones, all heads of all layers at a glance, and each
 * of them as a heat map and as arcs. The page holds everything itself, runs no script and asks no
 * network.
 */
public final class AttentionHeatMap {
  /** Beyond this many tokens the labels of a map are no longer readable. */
  public static final int MAX_TOKENS = 96;

  private static final int TOP_MAPS = 4;
  private static final int TOP_ROWS = 12;

  /** Cells of one page that tell their weight: more make it slow to open. */
  private static final int MAX_CELLS = 60_000;

  private static final String NOTE =
      "<p class=\"note\">A linking head is not a coreference resolver. Attention weights show"
          + " where a head looks for this one sentence; the same head may look elsewhere in the"
          + " next one, and a high weight does not prove that the model uses the link.</p>\n";

  private final String model;
  private final TokenizedText text;
  private final EncoderOutput output;

  /** Null: no words to rank the heads by. */
  private final HeadLinks links;

  private final boolean everyHead;

  /**
   * The heads ranked by a link, the strongest ones drawn.
   *
   * @param model the model's name, for the reader
   * @param output of the encoder for this text
   * @param links of this output
   */
  public AttentionHeatMap(String model, TokenizedText text, EncoderOutput output, HeadLinks links) {
    this(model, text, output, links, false);
  }

  /**
   * Every head drawn as a heat map and as arcs.
   *
   * @param links what to rank the heads by as well; may be missing
   */
  public static AttentionHeatMap ofEveryHead(
      String model, TokenizedText text, EncoderOutput output, Optional<HeadLinks> links) {
    return new AttentionHeatMap(model, text, output, links.orElse(null), true);
  }

  private AttentionHeatMap(
      String model, TokenizedText text, EncoderOutput output, HeadLinks links, boolean everyHead) {
    if (text.size() > MAX_TOKENS) {
      throw new InvalidInputException(
          "Cannot draw a heat map of "
              + text.size()
              + " tokens: at most "
              + MAX_TOKENS
              + " stay readable; give a shorter text");
    }
    this.model = model;
    this.text = text;
    this.output = output;
    this.links = links;
    this.everyHead = everyHead;
  }

  /** Writes the page; the file appears whole or not at all. */
  public void write(Path file, boolean overwrite) {
    if (!overwrite && Files.exists(file)) {
      throw new InvalidInputException(
          "Cannot write " + file + ": it exists already; give another path or --overwrite");
    }
    Path temporary = file.resolveSibling(file.getFileName() + "._temporary-" + UUID.randomUUID());
    try {
      try {
        Files.writeString(temporary, html());
        Files.move(temporary, file, StandardCopyOption.REPLACE_EXISTING);
      } finally {
        Files.deleteIfExists(temporary);
      }
    } catch (IOException e) {
      throw new InvalidInputException(
          "Cannot write " + file + ": " + e + "; expected a folder that can be written to", e);
    }
  }

  /** The page, well-formed as HTML and as XML. */
  public String html() {
    StringBuilder page = new StringBuilder();
    String title =
        links == null
            ? "Which token attends to which"
            : format("Which heads link “%s” to “%s”?", word(links.source()), word(links.target()));
    page.append(HeatMapStyle.opening(title));
    page.append("<p class=\"text\">").append(markedText()).append("</p>\n");
    if (links != null) {
      appendSummary(page);
    }
    page.append(NOTE);
    if (links != null) {
      appendRanking(page);
      appendMaps(page);
    }
    appendOverview(page);
    if (everyHead) {
      appendHeads(page);
    }
    return page.append("</body>\n</html>\n").toString();
  }

  private static String word(Word word) {
    return Markup.escape(word.text());
  }

  private void appendSummary(StringBuilder page) {
    HeadLink best = links.ranked().get(0);
    page.append(
        format(
            "<p>In <b>layer %d, head %d</b> of %s, <span class=\"source\">%s</span> attends to"
                + " <span class=\"target\">%s</span> with weight <b>%.3f</b> and to its rival"
                + " <span class=\"rival\">%s</span> with %.3f. %d of %d heads prefer the first to"
                + " the second. Spread evenly over the %d tokens, each would get %.3f. Layers and"
                + " heads count from 0.</p>\n",
            best.layer(),
            best.head(),
            Markup.escape(model),
            word(links.source()),
            word(links.target()),
            best.weight(),
            word(links.rival()),
            best.rivalWeight(),
            links.preferring(),
            links.ranked().size(),
            text.size(),
            1.0 / text.size()));
  }

  /** The text with the source, target and rival words marked. */
  private String markedText() {
    StringBuilder marked = new StringBuilder();
    int written = 0;
    for (int position = 0; position < text.size(); position++) {
      String role = role(position);
      if (!role.isEmpty() && text.start(position) >= written) {
        marked.append(Markup.escape(text.text().substring(written, text.start(position))));
        written = text.end(position);
        String token = Markup.escape(text.text().substring(text.start(position), written));
        marked.append(format("<span class=\"%s\">%s</span>", role, token));
      }
    }
    return marked.append(Markup.escape(text.text().substring(written))).toString();
  }

  /** The style class of a token's word, empty for most. */
  private String role(int position) {
    if (links == null) {
      return "";
    }
    if (links.source().positions().contains(position)) {
      return "source";
    }
    if (links.target().positions().contains(position)) {
      return "target";
    }
    return links.rival().positions().contains(position) ? "rival" : "";
  }

  private void appendRanking(StringBuilder page) {
    page.append("<h2>Heads, the strongest link first</h2>\n");
    page.append(
        format(
            "<p>Where the average over all attending tokens is high too, the head looks at “%s” from"
                + " everywhere, not from “%s” in particular.</p>\n",
            word(links.target()), word(links.source())));
    List<HeadLink> ranked = links.ranked();
    int top = Math.min(TOP_ROWS, ranked.size());
    appendTable(page, ranked.subList(0, top));
    if (top < ranked.size()) {
      page.append(format("<details><summary>The other %d heads</summary>\n", ranked.size() - top));
      appendTable(page, ranked.subList(top, ranked.size()));
      page.append("</details>\n");
    }
  }

  private void appendTable(StringBuilder page, List<HeadLink> rows) {
    page.append("<div class=\"wide\"><table class=\"ranking\"><thead><tr><th>rank</th>")
        .append("<th>layer</th><th>head</th>")
        .append(format("<th class=\"left\">weight to “%s”</th>", word(links.target())))
        .append(format("<th class=\"left\">weight to “%s”</th>", word(links.rival())))
        .append(format("<th>all tokens to “%s”<br/>on average</th>", word(links.target())))
        .append(format("<th class=\"left\">“%s” attends most to</th>", word(links.source())))
        .append("</tr></thead><tbody>\n");
    for (HeadLink link : rows) {
      page.append(
          format(
              "<tr><td>%d</td><td>%d</td><td>%d</td><td class=\"left\">%s</td>"
                  + "<td class=\"left\">%s</td><td>%.3f</td><td class=\"left\">%s</td></tr>\n",
              link.rank(),
              link.layer(),
              link.head(),
              bar("bar", link.weight()),
              bar("bar rival", link.rivalWeight()),
              link.averageWeight(),
              Markup.escape(text.token(link.strongest()))));
    }
    page.append("</tbody></table></div>\n");
  }

  private static String bar(String style, double weight) {
    return format(
        "%.3f<span class=\"track\"><span class=\"%s\" style=\"width:%.1f%%\"></span></span>",
        weight, style, 100 * weight);
  }

  private void appendMaps(StringBuilder page) {
    int maps = Math.min(TOP_MAPS, links.ranked().size());
    page.append("<h2>Heat maps of the strongest ").append(maps).append("</h2>\n");
    page.append(
        "<p>Each row is an attending token; its cells sum to 1. Hover over a cell for its"
            + " weight.</p>\n");
    appendLegend(page);
    page.append("<div class=\"maps\">\n");
    TokenMap map = new TokenMap(text, output, this::role);
    for (HeadLink link : links.ranked().subList(0, maps)) {
      page.append(
          format(
              "<figure><figcaption><b>Layer %d, head %d</b> · rank %d · %.3f to “%s”, %.3f to"
                  + " “%s”</figcaption>\n%s</figure>\n",
              link.layer(),
              link.head(),
              link.rank(),
              link.weight(),
              word(links.target()),
              link.rivalWeight(),
              word(links.rival()),
              map.svg(link.layer(), link.head())));
    }
    page.append("</div>\n");
  }

  private static void appendLegend(StringBuilder page) {
    page.append("<div class=\"legend\">weight:");
    for (double weight : new double[] {0, 0.01, 0.05, 0.1, 0.25, 0.5, 1}) {
      page.append(
          format(
              "<span><i style=\"%s\"></i>%s</span>",
              format(
                  "background:color-mix(in srgb, var(--weight) %.1f%%, transparent)",
                  100 * TokenMap.opacity(weight)),
              weight == Math.rint(weight) ? format("%.0f", weight) : Double.toString(weight)));
    }
    page.append("<span>(opacity is its square root)</span></div>\n");
  }

  private void appendOverview(StringBuilder page) {
    page.append("<h2>All layers and heads</h2>\n<p>Every map in small: attending tokens")
        .append(" downwards, attended tokens to the right.")
        .append(links == null ? "" : " Framed: the heat maps above.")
        .append(everyHead ? " Each leads to its head below." : "")
        .append("</p>\n")
        .append("<div class=\"wide\"><table class=\"overview\"><thead><tr><th></th>");
    for (int head = 0; head < output.numHeads(); head++) {
      page.append(format("<th>head %d</th>", head));
    }
    page.append("</tr></thead><tbody>\n");
    for (int layer = 0; layer < output.layers(); layer++) {
      page.append(format("<tr><th>layer %d</th>", layer));
      for (int head = 0; head < output.numHeads(); head++) {
        page.append("<td>").append(picture(layer, head)).append("</td>");
      }
      page.append("</tr>\n");
    }
    page.append("</tbody></table></div>\n");
  }

  private HeadLink link(int layer, int head) {
    return links.ranked().stream()
        .filter(link -> link.layer() == layer && link.head() == head)
        .findFirst()
        .orElseThrow();
  }

  private String picture(int layer, int head) {
    String title = format("Layer %d, head %d", layer, head);
    boolean top = false;
    if (links != null) {
      HeadLink link = link(layer, head);
      top = link.rank() <= TOP_MAPS;
      title +=
          format(
              ": %.3f from “%s” to “%s” (rank %d)",
              link.weight(), word(links.source()), word(links.target()), link.rank());
    }
    String address =
        new TokenMap(text, output, this::role).picture(output.probabilities()[layer][head]);
    String image =
        format(
            "<img%s src=\"%s\" alt=\"%s\" title=\"%s\"/>",
            top ? " class=\"top\"" : "", address, title, title);
    return everyHead ? format("<a href=\"#layer-%d-head-%d\">%s</a>", layer, head, image) : image;
  }

  private void appendHeads(StringBuilder page) {
    int heads = output.layers() * output.numHeads();
    int tokens = text.size();
    int cells = Math.max(1, Math.min(tokens, MAX_CELLS / (heads * tokens)));
    page.append("<h2>Head by head</h2>\n<p>Left the heat map, right the links with a weight of at")
        .append(format(" least %.2f as arcs: above the tokens they lead to", TokenArcs.WEAKEST))
        .append(" a later token, below to an earlier one, a ring leads to the token itself. Hover")
        .append(
            cells == tokens
                ? " over a cell or an arc for its weight.</p>\n"
                : format(
                    " over an arc, or one of the %d strongest cells of a row, for its weight.</p>\n",
                    cells));
    appendLegend(page);
    TokenMap map = new TokenMap(text, output, this::role, cells);
    TokenArcs arcs = new TokenArcs(text, output, this::role);
    for (int layer = 0; layer < output.layers(); layer++) {
      page.append(format("<h3>Layer %d</h3>\n", layer));
      for (int head = 0; head < output.numHeads(); head++) {
        page.append(
            format(
                "<figure class=\"head\" id=\"layer-%d-head-%d\"><figcaption><b>Layer %d, head"
                    + " %d</b></figcaption>\n%s\n%s</figure>\n",
                layer, head, layer, head, map.svg(layer, head), arcs.svg(layer, head)));
      }
    }
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}

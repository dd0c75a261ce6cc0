package io.sparkattention.driver.model;

import java.util.Locale;
import java.util.function.IntFunction;

/** One head's attention weights as an SVG grid: attending tokens down, attended tokens across. */
final class TokenMap {
  private static final int CELL = 24;
  private static final int LETTER = 7;
  private static final int AXIS = 18;

  private final TokenizedText text;
  private final EncoderOutput output;
  private final IntFunction<String> roles;

  /** Pixels beside the grid for the tokens' names. */
  private final int margin;

  /** Cells of an attending token that are drawn one by one and tell their weight. */
  private final int cellsPerToken;

  /**
   * @param roles style class of a token by position: source, target, rival or empty
   */
  TokenMap(TokenizedText text, EncoderOutput output, IntFunction<String> roles) {
    this(text, output, roles, text.size());
  }

  /**
   * @param cellsPerToken how many cells of each attending token tell their weight, the strongest;
   *     where that is not all of them, the others are parts of one picture
   */
  TokenMap(TokenizedText text, EncoderOutput output, IntFunction<String> roles, int cellsPerToken) {
    this.cellsPerToken = Math.min(cellsPerToken, text.size());
    this.text = text;
    this.output = output;
    this.roles = roles;
    int letters = 0;
    for (int position = 0; position < text.size(); position++) {
      letters = Math.max(letters, text.token(position).length());
    }
    this.margin = AXIS + LETTER * letters + 8;
  }

  /** Faint weights stay visible: opacity is the weight's square root. */
  static double opacity(double weight) {
    return Math.sqrt(weight);
  }

  String svg(int layer, int head) {
    int grid = CELL * text.size();
    StringBuilder svg = new StringBuilder();
    svg.append(
        format(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\""
                + " aria-label=\"Attention weights of layer %d, head %d\">\n",
            margin + grid + 2, margin + grid + 2, layer, head));
    appendAxes(svg, grid);
    for (int position = 0; position < text.size(); position++) {
      appendNames(svg, position);
    }
    appendCells(svg, layer, head);
    svg.append(
        format(
            "<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
            margin, margin, grid, grid));
    appendMarks(svg);
    return svg.append("</svg>").toString();
  }

  private void appendAxes(StringBuilder svg, int grid) {
    int middle = margin + grid / 2;
    svg.append(
        format(
            """
            <text class="axis" x="%d" y="11" text-anchor="middle">attends to →</text>
            <text class="axis" transform="translate(11 %d) rotate(-90)" text-anchor="middle">\
            attending token</text>
            """,
            middle, middle));
  }

  private void appendNames(StringBuilder svg, int position) {
    String style = roles.apply(position);
    String name = Markup.escape(text.token(position));
    int middle = margin + position * CELL + CELL / 2;
    svg.append(
        format(
            """
            <text class="%s" x="%d" y="%d" text-anchor="end">%s</text>
            <text class="%s" transform="translate(%d %d) rotate(-90)">%s</text>
            """,
            style, margin - 6, middle + 4, name, style, middle + 4, margin - 6, name));
  }

  private void appendCells(StringBuilder svg, int layer, int head) {
    boolean all = cellsPerToken == text.size();
    if (!all) {
      svg.append(
          format(
              "<image class=\"pixels\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" href=\"%s\"/>\n",
              margin,
              margin,
              CELL * text.size(),
              CELL * text.size(),
              picture(output.probabilities()[layer][head])));
    }
    for (int from = 0; from < text.size(); from++) {
      StrongestKeys strongest = new StrongestKeys(1, cellsPerToken);
      for (int to = 0; to < text.size(); to++) {
        float weight = output.probability(layer, head, from, to);
        if (all) {
          appendCell(svg, from, to, weight, opacity(weight));
        } else {
          strongest.offer(0, to, weight);
        }
      }
      for (int rank = 0; rank < strongest.count(0); rank++) {
        appendCell(svg, from, strongest.key(0, rank), strongest.score(0, rank), 0);
      }
    }
  }

  /** All weights of a head as one small picture. */
  String picture(float[] weights) {
    double[] opacity = new double[weights.length];
    for (int i = 0; i < weights.length; i++) {
      opacity[i] = opacity(weights[i]);
    }
    return AlphaPng.dataAddress(opacity, text.size(), HeatMapStyle.COLOUR);
  }

  private void appendCell(StringBuilder svg, int from, int to, float weight, double opacity) {
    svg.append(
        format(
            "<rect class=\"cell\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\""
                + " fill-opacity=\"%.3f\"><title>%s → %s: %.4f</title></rect>\n",
            margin + to * CELL,
            margin + from * CELL,
            CELL,
            CELL,
            opacity,
            Markup.escape(text.token(from)),
            Markup.escape(text.token(to)),
            weight));
  }

  /** Outlines the cells from the source word to its target and to its rival. */
  private void appendMarks(StringBuilder svg) {
    for (int from = 0; from < text.size(); from++) {
      for (int to = 0; to < text.size(); to++) {
        String role = roles.apply(to);
        if (roles.apply(from).equals("source") && !role.isEmpty() && !role.equals("source")) {
          svg.append(
              format(
                  "<rect class=\"mark %s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
                  role, margin + to * CELL, margin + from * CELL, CELL, CELL));
        }
      }
    }
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}

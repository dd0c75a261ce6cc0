package io.sparkattention.driver.model;

import java.util.Locale;
import java.util.function.IntFunction;

/**
 * One head's strong links as SVG arcs over a line of tokens: above the line to later tokens, below
 * it to earlier ones, a ring for a token that attends to itself.
 */
final class TokenArcs {
  /** Weaker links are not drawn: at most twenty of a token are as strong. */
  static final double WEAKEST = 0.05;

  private static final int STEP = 24;
  private static final int LETTER = 7;
  private static final int SIDE = 16;

  private final TokenizedText text;
  private final EncoderOutput output;
  private final IntFunction<String> roles;

  /** Height of the line of names. */
  private final int band;

  TokenArcs(TokenizedText text, EncoderOutput output, IntFunction<String> roles) {
    this.text = text;
    this.output = output;
    this.roles = roles;
    int letters = 0;
    for (int position = 0; position < text.size(); position++) {
      letters = Math.max(letters, text.token(position).length());
    }
    this.band = LETTER * letters + 12;
  }

  String svg(int layer, int head) {
    int half = reach(text.size() - 1) + 12;
    StringBuilder svg = new StringBuilder();
    svg.append(
        format(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\""
                + " aria-label=\"Arcs of layer %d, head %d\">\n",
            2 * SIDE + STEP * text.size(), 2 * half + band, layer, head));
    for (int from = 0; from < text.size(); from++) {
      for (int to = 0; to < text.size(); to++) {
        float weight = output.probability(layer, head, from, to);
        if (weight >= WEAKEST) {
          appendArc(svg, half, from, to, weight);
        }
      }
    }
    for (int position = 0; position < text.size(); position++) {
      svg.append(
          format(
              "<text class=\"%s\" transform=\"translate(%d %d) rotate(-90)\""
                  + " text-anchor=\"middle\">%s</text>\n",
              roles.apply(position),
              middle(position) + 4,
              half + band / 2,
              Markup.escape(text.token(position))));
    }
    return svg.append("</svg>").toString();
  }

  /** How far an arc over so many tokens leaves the line. */
  private static int reach(int tokens) {
    return 10 + STEP * tokens * 2 / 5;
  }

  private static int middle(int position) {
    return SIDE + position * STEP + STEP / 2;
  }

  private void appendArc(StringBuilder svg, int half, int from, int to, float weight) {
    int line = to >= from ? half : half + band;
    String path;
    if (from == to) {
      path = format("M %d %d a 4 5 0 1 1 6 0", middle(from) - 3, line);
    } else {
      // The top of a cubic curve lies at three quarters of its control points' height.
      int height = reach(Math.abs(to - from)) * 4 / 3 * (to > from ? -1 : 1);
      path =
          format(
              "M %d %d C %d %d %d %d %d %d",
              middle(from),
              line,
              middle(from),
              line + height,
              middle(to),
              line + height,
              middle(to),
              line);
    }
    svg.append(
        format(
            "<path class=\"arc\" d=\"%s\" stroke-opacity=\"%.3f\" stroke-width=\"%.1f\">"
                + "<title>%s → %s: %.4f</title></path>\n",
            path,
            TokenMap.opacity(weight),
            1 + 3 * weight,
            Markup.escape(text.token(from)),
            Markup.escape(text.token(to)),
            weight));
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}

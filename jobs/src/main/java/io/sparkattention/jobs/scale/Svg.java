package io.sparkattention.jobs.scale;

import io.sparkattention.driver.model.Markup;
import java.util.Locale;

/** A drawing as SVG markup; units are those of the view box, which fills its place on the page. */
final class Svg {
  /** Width of a character of the text on a drawing, on average and rather too wide. */
  private static final double CHARACTER = 6.7;

  private final StringBuilder content = new StringBuilder();

  /** How wide a text will be, roughly: no font is at hand. */
  static double textWidth(String text) {
    return CHARACTER * text.codePointCount(0, text.length());
  }

  static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }

  /**
   * @param style a class of the page's style sheet
   */
  void line(double x1, double y1, double x2, double y2, String style) {
    content.append(
        format(
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>%n",
            x1, y1, x2, y2, style));
  }

  /**
   * @param anchor start, middle or end
   */
  void text(double x, double y, String anchor, String style, String text) {
    content.append(
        format(
            "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">%s</text>%n",
            x, y, anchor, style, Markup.escape(text)));
  }

  /** A text from below to above, its middle at the point. */
  void textUpwards(double x, double y, String style, String text) {
    content.append(
        format(
            "<text transform=\"translate(%.1f %.1f) rotate(-90)\" text-anchor=\"middle\" class=\"%s\">%s</text>%n",
            x, y, style, Markup.escape(text)));
  }

  /** A rectangle that tells what it is when it is pointed at. */
  void bar(double x, double y, double width, double height, String colour, String title) {
    content.append(
        format(
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"><title>%s</title></rect>%n",
            x, y, width, height, colour, Markup.escape(title)));
  }

  /**
   * @param points x and y of each, separated by spaces
   * @param dashes lengths of dashes and gaps; empty: none
   */
  void polyline(String points, String colour, String dashes) {
    content.append(
        format(
            "<polyline points=\"%s\" class=\"line\" stroke=\"%s\" stroke-dasharray=\"%s\"/>%n",
            points, colour, dashes.isEmpty() ? "none" : dashes));
  }

  void polygon(String points, String style) {
    content.append(format("<polygon points=\"%s\" class=\"%s\"/>%n", points, style));
  }

  /** A mark that tells what it is when it is pointed at; empty: it does not. */
  void mark(double x, double y, LineStyle style, String title) {
    content.append(
        format(
            "<path d=\"%s\" transform=\"translate(%.1f %.1f)\" fill=\"%s\" class=\"mark\"><title>%s</title></path>%n",
            style.mark(), x, y, style.colour(), Markup.escape(title)));
  }

  /**
   * The whole drawing.
   *
   * @param description for who cannot see it
   */
  String drawing(double width, double height, String description) {
    // Drawn at its own size at most, so that texts keep theirs.
    return format(
            "<svg viewBox=\"0 0 %.0f %.0f\" style=\"max-width:%.0fpx\" role=\"img\" aria-label=\"%s\">%n",
            width, height, width, Markup.escape(description))
        + content
        + "</svg>\n";
  }
}

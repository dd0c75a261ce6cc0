package io.sparkattention.jobs.scale;

import java.util.List;

/**
 * How a line is told from others: by colour, by the form of its marks, and by dashes where there
 * are more lines than colours.
 *
 * @param mark an SVG path around 0, 0
 * @param dashes lengths of dashes and gaps; empty: none
 */
record LineStyle(String colour, String mark, String dashes) {
  /**
   * Okabe and Ito's colours, which colour-blind people tell apart, without the yellow that is too
   * light on white.
   */
  private static final List<String> COLOURS =
      List.of("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000");

  private static final List<String> MARKS =
      List.of(
          "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
          "M-3.6 -3.6h7.2v7.2h-7.2z",
          "M0 -4.8L4.6 3.6H-4.6z",
          "M0 -5L5 0L0 5L-5 0z",
          "M0 4.8L4.6 -3.6H-4.6z",
          "M-4.8 -1.6h3.2v-3.2h3.2v3.2h3.2v3.2h-3.2v3.2h-3.2v-3.2h-3.2z");

  private static final List<String> DASHES = List.of("", "6 3", "2 3");

  /** The style of the line with this number; the first ones differ in all respects. */
  static LineStyle of(int index) {
    return new LineStyle(
        colour(index),
        MARKS.get(index % MARKS.size()),
        DASHES.get(index / COLOURS.size() % DASHES.size()));
  }

  static String colour(int index) {
    return COLOURS.get(index % COLOURS.size());
  }

  /** This colour with the mark of another number. */
  LineStyle withMark(int index) {
    return new LineStyle(colour, MARKS.get(index % MARKS.size()), dashes);
  }

  LineStyle withColour(String other) {
    return new LineStyle(other, mark, dashes);
  }
}

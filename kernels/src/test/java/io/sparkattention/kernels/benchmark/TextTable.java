package io.sparkattention.kernels.benchmark;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Rows of text under a heading, every column as wide as it needs. */
final class TextTable {
  /** What a cell says where there is nothing to say. */
  static final String NONE = "-";

  private final List<String[]> rows = new ArrayList<>();
  private final int leftAligned;

  /**
   * @param leftAligned so many columns at the left hold words; the others hold numbers
   */
  TextTable(int leftAligned, String... columns) {
    this.leftAligned = leftAligned;
    rows.add(columns);
  }

  void row(List<String> cells) {
    rows.add(cells.toArray(String[]::new));
  }

  void row(String... cells) {
    rows.add(cells);
  }

  /** A number with so many digits behind the point. */
  static String number(double x, int digits) {
    return Double.isNaN(x) ? NONE : String.format(Locale.ROOT, "%." + digits + "f", x);
  }

  @Override
  public String toString() {
    int columns = rows.get(0).length;
    int[] widths = new int[columns];
    for (String[] row : rows) {
      for (int c = 0; c < columns; c++) {
        widths[c] = Math.max(widths[c], row[c].length());
      }
    }
    StringBuilder text = new StringBuilder();
    for (String[] row : rows) {
      StringBuilder line = new StringBuilder();
      for (int c = 0; c < columns; c++) {
        String padding = " ".repeat(widths[c] - row[c].length());
        line.append(c == 0 ? "" : "  ");
        line.append(c < leftAligned ? row[c] + padding : padding + row[c]);
      }
      text.append(line.toString().stripTrailing()).append('\n');
    }
    return text.toString();
  }
}

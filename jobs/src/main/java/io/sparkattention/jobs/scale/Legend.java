package io.sparkattention.jobs.scale;

import java.util.ArrayList;
import java.util.List;

/** Names of lines, marks and bars, in rows below or above a plot. */
final class Legend {
  private static final double ROW = 19;
  private static final double SAMPLE = 26;
  private static final double GAP = 18;

  /** How a sample is drawn. */
  private enum Kind {
    LINE,
    MARK,
    BAR
  }

  private record Entry(Kind kind, LineStyle style, String name) {
    double width() {
      return SAMPLE + Svg.textWidth(name) + GAP;
    }
  }

  private final List<Entry> entries = new ArrayList<>();

  void line(LineStyle style, String name) {
    entries.add(new Entry(Kind.LINE, style, name));
  }

  void mark(LineStyle style, String name) {
    entries.add(new Entry(Kind.MARK, style, name));
  }

  void bar(LineStyle style, String name) {
    entries.add(new Entry(Kind.BAR, style, name));
  }

  /** Draws the entries and returns the height that they take. */
  double draw(Svg svg, double left, double top, double width) {
    double x = left;
    double y = top + ROW / 2;
    for (Entry entry : entries) {
      if (x > left && x + entry.width() - GAP > left + width) {
        x = left;
        y += ROW;
      }
      drawSample(svg, entry, x, y);
      svg.text(x + SAMPLE, y + 4, "start", "tick", entry.name);
      x += entry.width();
    }
    return entries.isEmpty() ? 0 : y + ROW / 2 - top;
  }

  private static void drawSample(Svg svg, Entry entry, double x, double y) {
    LineStyle style = entry.style;
    if (entry.kind == Kind.BAR) {
      svg.bar(x + 4, y - 5, 14, 10, style.colour(), entry.name);
      return;
    }
    if (entry.kind == Kind.LINE) {
      String points = Svg.format("%.1f,%.1f %.1f,%.1f", x, y, x + 20, y);
      svg.polyline(points, style.colour(), style.dashes());
    }
    if (!style.mark().isEmpty()) {
      svg.mark(x + 10, y, style, entry.name);
    }
  }
}

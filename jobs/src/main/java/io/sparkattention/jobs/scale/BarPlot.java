package io.sparkattention.jobs.scale;

import java.util.ArrayList;
import java.util.List;

/** Horizontal bars, each of parts that add up, with names on the left and a legend on top. */
final class BarPlot {
  private static final double WIDTH = 1120;
  private static final double ROW = 21;
  private static final double BAR = 13;

  /** Room behind the longest bar for the text of its value. */
  private static final double RIGHT = 90;

  /** The end of the axis over its beginning, at least. */
  private static final double LEAST_END = 1.1;

  /**
   * One bar.
   *
   * @param parts value of each part, of the parts that the plot has
   * @param mark a value beside the bar, not part of it; negative: none
   * @param text behind the bar
   */
  record Bar(String name, List<Double> parts, double mark, String text) {
    double total() {
      return parts.stream().mapToDouble(Double::doubleValue).sum();
    }
  }

  private final String description;
  private final String axisTitle;
  private final double from;
  private final List<String> partNames;
  private final List<String> colours;
  private final String markName;
  private final List<Bar> bars = new ArrayList<>();

  /**
   * @param description for who cannot see the plot
   * @param axisTitle with the unit
   * @param from where bars begin
   * @param partNames a single one has no legend
   * @param markName null: the bars have no marks
   */
  BarPlot(
      String description,
      String axisTitle,
      double from,
      List<String> partNames,
      List<String> colours,
      String markName) {
    this.description = description;
    this.axisTitle = axisTitle;
    this.from = from;
    this.partNames = partNames;
    this.colours = colours;
    this.markName = markName;
  }

  void bar(Bar bar) {
    bars.add(bar);
  }

  String svg() {
    Svg svg = new Svg();
    double left = bars.stream().mapToDouble(bar -> Svg.textWidth(bar.name)).max().orElse(0) + 14;
    double width = WIDTH - left - RIGHT;
    double top = legend().draw(svg, left, 0, width) + 6;
    List<Double> ends = new ArrayList<>();
    bars.forEach(bar -> ends.add(Math.max(from + bar.total(), bar.mark)));
    // Bars that hardly leave a beginning other than 0 shall look like it.
    ends.add(from * LEAST_END);
    Axis x = Axis.linear(axisTitle, from, ends);
    Frame frame = new Frame(x, null, left, top, width, ROW * bars.size() + 4);
    frame.drawX(svg);
    for (int i = 0; i < bars.size(); i++) {
      draw(svg, frame, bars.get(i), top + 2 + ROW * (i + 0.5));
    }
    svg.line(left, top, left, frame.bottom(), "axis");
    return svg.drawing(WIDTH, frame.bottom() + 46, description);
  }

  private Legend legend() {
    Legend legend = new Legend();
    if (partNames.size() > 1) {
      for (int part = 0; part < partNames.size(); part++) {
        legend.bar(LineStyle.of(0).withColour(colours.get(part)), partNames.get(part));
      }
    }
    if (markName != null) {
      legend.mark(markStyle(), markName);
    }
    return legend;
  }

  private static LineStyle markStyle() {
    return LineStyle.of(3).withColour("#000000");
  }

  private void draw(Svg svg, Frame frame, Bar bar, double middle) {
    svg.text(frame.left() - 8, middle + 4, "end", "tick", bar.name);
    double end = from;
    for (int part = 0; part < bar.parts.size(); part++) {
      double start = frame.x(end);
      end += bar.parts.get(part);
      String title =
          "%s: %s %s".formatted(bar.name, partNames.get(part), Axis.text(bar.parts.get(part)));
      svg.bar(start, middle - BAR / 2, frame.x(end) - start, BAR, colours.get(part), title);
    }
    double behind = frame.x(end);
    if (bar.mark >= 0) {
      svg.mark(frame.x(bar.mark), middle, markStyle(), markName + " " + Axis.text(bar.mark));
      behind = Math.max(behind, frame.x(bar.mark) + 6);
    }
    svg.text(behind + 6, middle + 4, "start", "tick", bar.text);
  }
}

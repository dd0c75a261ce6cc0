package io.sparkattention.jobs.scale;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;

/** Values over values: lines, marks with their range over repetitions, a legend below. */
final class LinePlot {
  private static final double WIDTH = 560;
  private static final double HEIGHT = 270;
  private static final double LEFT = 74;
  private static final double TOP = 10;
  private static final double RIGHT = 18;

  /**
   * A measured value.
   *
   * @param low the least of the repetitions
   * @param high the largest
   */
  record Point(double x, double y, double low, double high) {
    Point(double x, double y) {
      this(x, y, y, y);
    }
  }

  private record Marked(Point point, LineStyle style, String title) {}

  private record Line(List<Point> points, LineStyle style) {}

  private final String description;
  private final Axis x;
  private final Axis y;
  private final List<Line> lines = new ArrayList<>();
  private final List<Marked> marks = new ArrayList<>();
  private final Legend legend = new Legend();

  /** Factors of y that bound the shaded band around the line x = y; null: none. */
  private double[] band;

  /**
   * @param description for who cannot see the plot
   */
  LinePlot(String description, Axis x, Axis y) {
    this.description = description;
    this.x = x;
    this.y = y;
  }

  /** Joins points in the order of x. */
  void line(List<Point> points, LineStyle style) {
    List<Point> sorted = new ArrayList<>(points);
    sorted.sort(Comparator.comparingDouble(Point::x));
    lines.add(new Line(sorted, style));
  }

  /** A mark that says what it is when it is pointed at. */
  void mark(Point point, LineStyle style, String title) {
    marks.add(new Marked(point, style, title));
  }

  /** Shades where y is between two multiples of x. */
  void band(double low, double high) {
    band = new double[] {low, high};
  }

  Legend legend() {
    return legend;
  }

  String svg() {
    Svg svg = new Svg();
    Frame frame = new Frame(x, y, LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT);
    if (band != null) {
      drawBand(svg, frame);
    }
    frame.draw(svg);
    for (Line line : lines) {
      svg.polyline(path(frame, line.points), line.style.colour(), line.style.dashes());
    }
    for (Marked marked : marks) {
      Point p = marked.point;
      if (p.low < p.high) {
        svg.line(frame.x(p.x), frame.y(p.low), frame.x(p.x), frame.y(p.high), "range");
      }
      svg.mark(frame.x(p.x), frame.y(p.y), marked.style, marked.title);
    }
    double below = frame.bottom() + 52;
    double height = below + legend.draw(svg, LEFT, below, WIDTH - LEFT - RIGHT) + 4;
    return svg.drawing(WIDTH, height, description);
  }

  private static String path(Frame frame, List<Point> points) {
    return points.stream()
        .map(p -> Svg.format("%.1f,%.1f", frame.x(p.x), frame.y(p.y)))
        .collect(Collectors.joining(" "));
  }

  /** Both axes have the same range: the corners lie on the frame. */
  private void drawBand(Svg svg, Frame frame) {
    List<Point> corners =
        List.of(
            new Point(x.min(), x.min() * band[1]),
            new Point(x.max() / band[1], x.max()),
            new Point(x.max(), x.max()),
            new Point(x.max(), x.max() * band[0]),
            new Point(x.min() / band[0], x.min()),
            new Point(x.min(), x.min()));
    svg.polygon(path(frame, corners), "band");
  }
}

package io.sparkattention.jobs.scale;

/** The area of a plot between its axes, and what is drawn of the axes. */
record Frame(Axis x, Axis y, double left, double top, double width, double height) {
  private static final double GAP = 8;

  double x(double value) {
    return left + width * x.position(value);
  }

  double y(double value) {
    return top + height * (1 - y.position(value));
  }

  double bottom() {
    return top + height;
  }

  void draw(Svg svg) {
    drawX(svg);
    for (double tick : y.ticks()) {
      svg.line(left, y(tick), left + width, y(tick), "grid");
      svg.text(left - GAP, y(tick) + 4, "end", "tick", y.tickText(tick));
    }
    svg.textUpwards(16, top + height / 2, "title", y.title());
    svg.line(left, top, left, bottom(), "axis");
  }

  /** The horizontal axis alone; of ticks that would touch, the later ones have no text. */
  void drawX(Svg svg) {
    double free = Double.NEGATIVE_INFINITY;
    for (double tick : x.ticks()) {
      String text = x.tickText(tick);
      double half = Svg.textWidth(text) / 2;
      svg.line(x(tick), top, x(tick), bottom(), "grid");
      if (x(tick) - half > free) {
        svg.text(x(tick), bottom() + 18, "middle", "tick", text);
        free = x(tick) + half + GAP;
      }
    }
    svg.line(left, bottom(), left + width, bottom(), "axis");
    svg.text(left + width / 2, bottom() + 38, "middle", "title", x.title());
  }
}

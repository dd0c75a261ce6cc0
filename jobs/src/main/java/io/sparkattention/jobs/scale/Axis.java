package io.sparkattention.jobs.scale;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;

/** Where values stand on one axis of a plot, and which of them have a tick. */
final class Axis {
  /** Beyond this many decades only powers of ten have a tick. */
  private static final double FINE_DECADES = 2.5;

  private static final int LINEAR_TICKS = 5;
  private static final double[] STEPS = {1, 2, 5};

  private final String title;
  private final boolean logarithmic;
  private final double min;
  private final double max;
  private final List<Double> ticks;

  private Axis(String title, boolean logarithmic, double min, double max, List<Double> ticks) {
    this.title = title;
    this.logarithmic = logarithmic;
    this.min = min;
    this.max = max;
    this.ticks = ticks;
  }

  /**
   * A linear axis.
   *
   * @param title with the unit
   * @param from where it begins; the largest value is above
   * @param values none negative
   */
  static Axis linear(String title, double from, Collection<Double> values) {
    double span = Collections.max(values) - from;
    double step = span > 0 ? step(span / LINEAR_TICKS) : 1;
    List<Double> ticks = new ArrayList<>();
    double last = 0;
    for (int i = 0; i == 0 || last < from + span; i++) {
      last = from + i * step;
      ticks.add(last);
    }
    if (ticks.size() == 1) {
      last = from + step;
      ticks.add(last);
    }
    return new Axis(title, false, from, last, ticks);
  }

  /** The next of 1, 2, 5, 10, … times a power of ten. */
  private static double step(double least) {
    double power = Math.pow(10, Math.floor(Math.log10(least)));
    for (double factor : STEPS) {
      if (factor * power >= least * (1 - 1e-9)) {
        return factor * power;
      }
    }
    return 10 * power;
  }

  /**
   * A logarithmic axis from tick to tick.
   *
   * @param values all positive
   */
  static Axis logarithmic(String title, Collection<Double> values) {
    double least = Collections.min(values);
    double most = Collections.max(values);
    boolean fine = Math.log10(most / least) < FINE_DECADES;
    List<Double> ticks = new ArrayList<>();
    int first = (int) Math.floor(Math.log10(least));
    for (int power = first; power <= Math.ceil(Math.log10(most)); power++) {
      for (double factor : fine ? STEPS : new double[] {1}) {
        ticks.add(factor * Math.pow(10, power));
      }
    }
    while (ticks.size() > 2 && ticks.get(1) <= least) {
      ticks.remove(0);
    }
    while (ticks.size() > 2 && ticks.get(ticks.size() - 2) >= most) {
      ticks.remove(ticks.size() - 1);
    }
    if (ticks.size() == 1) {
      ticks.add(10 * ticks.get(0));
    }
    return new Axis(title, true, ticks.get(0), ticks.get(ticks.size() - 1), ticks);
  }

  /**
   * A logarithmic axis with a tick at each value, for few of them.
   *
   * @param values all positive
   */
  static Axis logarithmicAt(String title, Collection<Double> values) {
    List<Double> ticks = List.copyOf(new TreeSet<>(values));
    double least = ticks.get(0);
    double most = ticks.get(ticks.size() - 1);
    double margin = least == most ? 2 : Math.pow(most / least, 0.08);
    return new Axis(title, true, least / margin, most * margin, ticks);
  }

  String title() {
    return title;
  }

  List<Double> ticks() {
    return ticks;
  }

  double min() {
    return min;
  }

  double max() {
    return max;
  }

  /** From 0, where the axis begins, to 1, where it ends. */
  double position(double value) {
    return logarithmic ? Math.log(value / min) / Math.log(max / min) : (value - min) / (max - min);
  }

  /** A tick as people write it: with as many digits as tell it from its neighbours. */
  String tickText(double tick) {
    if (logarithmic) {
      return text(tick);
    }
    double step = ticks.get(1) - ticks.get(0);
    int digits = (int) Math.max(0, -Math.floor(Math.log10(step * (1 + 1e-9))));
    return Svg.format("%,." + digits + "f", tick);
  }

  /** A number as people write it, with three digits, or all of them before the point. */
  static String text(double value) {
    if (Math.abs(value) >= 1000) {
      return Svg.format("%,.0f", value);
    }
    BigDecimal rounded = new BigDecimal(value).round(new MathContext(3));
    return rounded.signum() == 0 ? "0" : rounded.stripTrailingZeros().toPlainString();
  }
}

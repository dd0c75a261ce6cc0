package io.sparkattention.jobs.scale;

import io.sparkattention.jobs.scale.LinePlot.Point;
import io.sparkattention.jobs.scale.Measurement.Workload;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;

/**
 * How one workload scales over lengths and cores. Of the configurations that a cluster ran for a
 * length, the plots show the fastest.
 */
final class ScalingPlots {
  private static final LineStyle IDEAL = new LineStyle("#767676", "", "4 3");

  private final Workload workload;
  private final List<Measurement> fastest;
  private final List<String> clusters;

  /**
   * @param all of the workload, at least one
   */
  ScalingPlots(Workload workload, List<Measurement> all) {
    this.workload = workload;
    this.fastest = fastest(all, m -> m.cluster() + "\n" + m.configuration().tokens());
    this.clusters = all.stream().map(Measurement::cluster).distinct().toList();
  }

  /** The measurement with the fewest seconds among those with the same key. */
  private static List<Measurement> fastest(
      List<Measurement> all, Function<Measurement, Object> key) {
    Map<Object, Measurement> best = new LinkedHashMap<>();
    for (Measurement m : all) {
      best.merge(key.apply(m), m, (a, b) -> a.seconds() <= b.seconds() ? a : b);
    }
    return List.copyOf(best.values());
  }

  /** Whether there is anything to say about lengths. */
  boolean hasSeveralLengths() {
    return tokens(fastest).size() > 1;
  }

  /** Seconds over tokens, a line for each cluster. */
  Figure seconds() {
    return overTokens(
        "Time: attention over the length", "attention, seconds", fastest, m -> seconds(m));
  }

  /** GFLOP/s as a share of the peak over tokens; empty where no peak was measured. */
  Optional<Figure> shareOfPeak() {
    List<Measurement> known =
        fastest.stream().filter(m -> m.optionalMedian("efficiency").isPresent()).toList();
    if (known.isEmpty()) {
      return Optional.empty();
    }
    LinePlot plot =
        new LinePlot(
            "Share of the multiply-add peak over tokens, " + workload,
            Axis.logarithmicAt("tokens", tokens(known)),
            Axis.linear("share of the measured peak", 0, List.of(1.0)));
    drawOverTokens(plot, known, m -> point(tokens(m), m, "efficiency", 1));
    return Optional.of(
        new Figure("Efficiency: share of the multiply-add peak of the cores used", plot.svg()));
  }

  /** MB between executors over tokens; empty where none moved or there is one length. */
  Optional<Figure> bytesMoved() {
    List<Measurement> moved = fastest.stream().filter(m -> m.median("bytes_moved") > 0).toList();
    if (moved.isEmpty() || tokens(moved).size() < 2) {
      return Optional.empty();
    }
    return Optional.of(
        overTokens(
            "Bytes moved between executors",
            "moved, MB",
            moved,
            m -> point(tokens(m), m, "bytes_moved", 1e-6)));
  }

  private Figure overTokens(
      String caption, String axis, List<Measurement> of, Function<Measurement, Point> point) {
    LinePlot plot =
        new LinePlot(
            caption + ", " + workload,
            Axis.logarithmicAt("tokens", tokens(of)),
            Axis.logarithmic(axis, ends(of.stream().map(point))));
    drawOverTokens(plot, of, point);
    return new Figure(caption, plot.svg());
  }

  private void drawOverTokens(
      LinePlot plot, List<Measurement> all, Function<Measurement, Point> point) {
    for (int i = 0; i < clusters.size(); i++) {
      String cluster = clusters.get(i);
      List<Measurement> own = all.stream().filter(m -> m.cluster().equals(cluster)).toList();
      if (!own.isEmpty()) {
        plot.line(own.stream().map(point).toList(), LineStyle.of(i));
        plot.legend().line(LineStyle.of(i), cluster);
      }
      for (Measurement m : own) {
        plot.mark(point.apply(m), LineStyle.of(i), title(m, point.apply(m)));
      }
    }
  }

  /** Whether there is anything to say about cores. */
  boolean hasSeveralCoreCounts() {
    return fastest.stream().map(Measurement::cores).distinct().count() > 1;
  }

  /** Seconds over cores, a line for each length; dashed is time that halves as cores double. */
  Figure strongScaling() {
    Map<Double, List<Measurement>> lines = byLength();
    LinePlot plot =
        new LinePlot(
            "Strong scaling: seconds over cores, " + workload,
            Axis.logarithmicAt("cores", cores()),
            Axis.logarithmic(
                "attention, seconds",
                ends(
                    Stream.concat(
                        fastest.stream().map(m -> seconds(m)),
                        lines.values().stream().map(line -> ideal(line).get(1))))));
    lines.values().forEach(line -> plot.line(ideal(line), IDEAL));
    drawOverCores(plot, lines, " tokens", m -> point(m.cores(), m, "attention_seconds", 1));
    plot.legend().line(IDEAL, "ideal");
    return new Figure("Strong scaling: the same length on more cores", plot.svg());
  }

  /** Speed-up over cores as a share of the ideal one. */
  Figure parallelEfficiency() {
    Map<Double, List<Measurement>> lines = byLength();
    Map<Measurement, Double> work = new LinkedHashMap<>();
    for (List<Measurement> line : lines.values()) {
      Measurement base = line.get(0);
      line.forEach(m -> work.put(m, base.seconds() * base.cores()));
    }
    Function<Measurement, Point> point =
        m ->
            new Point(
                m.cores(),
                work.get(m) / (m.seconds() * m.cores()),
                work.get(m) / (m.max("attention_seconds") * m.cores()),
                work.get(m) / (m.min("attention_seconds") * m.cores()));
    LinePlot plot =
        new LinePlot(
            "Parallel efficiency over cores, " + workload,
            Axis.logarithmicAt("cores", cores()),
            Axis.linear(
                "speed-up / ideal speed-up",
                0,
                Stream.concat(Stream.of(1.0), ends(fastest.stream().map(point)).stream())
                    .toList()));
    plot.line(cores().stream().map(c -> new Point(c, 1)).toList(), IDEAL);
    drawOverCores(plot, lines, " tokens", point);
    plot.legend().line(IDEAL, "ideal");
    return new Figure(
        "Efficiency of strong scaling, against the fewest cores of each length", plot.svg());
  }

  /** GFLOP/s of a core over cores, a line for each number of tokens per core; empty without any. */
  Optional<Figure> weakScaling() {
    Map<Double, List<Measurement>> lines =
        lines(m -> m.configuration().tokens() / (double) m.cores());
    lines.values().removeIf(line -> line.stream().map(Measurement::cores).distinct().count() < 2);
    if (lines.isEmpty()) {
      return Optional.empty();
    }
    Function<Measurement, Point> point = m -> point(m.cores(), m, "gflops", 1.0 / m.cores());
    LinePlot plot =
        new LinePlot(
            "Weak scaling: GFLOP/s of a core over cores, " + workload,
            Axis.logarithmicAt("cores", cores()),
            Axis.linear(
                "GFLOP/s of each core",
                0,
                ends(lines.values().stream().flatMap(List::stream).map(point))));
    drawOverCores(plot, lines, " tokens per core", point);
    return Optional.of(
        new Figure("Weak scaling: as many tokens for each core; ideal is level", plot.svg()));
  }

  private void drawOverCores(
      LinePlot plot,
      Map<Double, List<Measurement>> lines,
      String unit,
      Function<Measurement, Point> point) {
    int number = 0;
    for (Map.Entry<Double, List<Measurement>> line : lines.entrySet()) {
      LineStyle style = LineStyle.of(number++);
      List<Measurement> best = fastest(line.getValue(), Measurement::cores);
      plot.line(best.stream().map(point).toList(), style);
      for (Measurement m : line.getValue()) {
        Point p = point.apply(m);
        plot.mark(p, style.withMark(clusters.indexOf(m.cluster())), title(m, p));
      }
      plot.legend()
          .line(new LineStyle(style.colour(), "", style.dashes()), Axis.text(line.getKey()) + unit);
    }
    for (int i = 0; i < clusters.size(); i++) {
      plot.legend().mark(LineStyle.of(i).withColour(IDEAL.colour()), clusters.get(i));
    }
  }

  private Map<Double, List<Measurement>> byLength() {
    return lines(ScalingPlots::tokens);
  }

  /** By a key, in the order of cores. */
  private Map<Double, List<Measurement>> lines(ToDoubleFunction<Measurement> key) {
    Map<Double, List<Measurement>> lines = new TreeMap<>();
    fastest.stream()
        .sorted(Comparator.comparingInt(Measurement::cores).thenComparing(Measurement::seconds))
        .forEach(m -> lines.computeIfAbsent(key.applyAsDouble(m), k -> new ArrayList<>()).add(m));
    return lines;
  }

  /** From the fastest on the fewest cores to what it would take on the most cores. */
  private List<Point> ideal(List<Measurement> line) {
    Measurement base = line.get(0);
    double most = cores().stream().mapToDouble(Double::doubleValue).max().orElseThrow();
    return List.of(
        new Point(base.cores(), base.seconds()),
        new Point(most, base.seconds() * base.cores() / most));
  }

  private List<Double> cores() {
    return List.copyOf(new LinkedHashSet<>(fastest.stream().map(m -> (double) m.cores()).toList()));
  }

  private static List<Double> tokens(List<Measurement> of) {
    return of.stream().map(ScalingPlots::tokens).distinct().toList();
  }

  private static double tokens(Measurement m) {
    return m.configuration().tokens();
  }

  private static Point seconds(Measurement m) {
    return point(tokens(m), m, "attention_seconds", 1);
  }

  private static Point point(double x, Measurement m, String column, double factor) {
    return new Point(x, m.median(column) * factor, m.min(column) * factor, m.max(column) * factor);
  }

  private static List<Double> ends(Stream<Point> points) {
    return points.flatMap(p -> Stream.of(p.low(), p.high())).toList();
  }

  private static String title(Measurement m, Point point) {
    return "%s, %s: %s".formatted(m.cluster(), m.configuration(), Axis.text(point.y()));
  }
}

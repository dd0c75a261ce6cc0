package io.sparkattention.jobs.scale;

import io.sparkattention.jobs.scale.BarPlot.Bar;
import java.util.List;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/** All configurations of one workload at its longest length, side by side. */
final class ConfigurationPlots {
  private static final String COMPUTE = "#0072b2";
  private static final String WAIT = "#d55e00";
  private static final String FINISH = "#e69f00";
  private static final String REST = "#c8c8c8";

  private final String where;
  private final List<Measurement> longest;

  /**
   * @param all of the workload, at least one
   */
  ConfigurationPlots(Measurement.Workload workload, List<Measurement> all) {
    long tokens = all.stream().mapToLong(m -> m.configuration().tokens()).max().orElseThrow();
    this.where = Svg.format("%s, %,d tokens", workload, tokens);
    this.longest = all.stream().filter(m -> m.configuration().tokens() == tokens).toList();
  }

  /** Where the time of a task slot went. */
  Figure timeSplit() {
    BarPlot plot =
        new BarPlot(
            "Time split of each configuration, " + where,
            "seconds of a task slot, mean",
            0,
            List.of("compute", "wait", "finish", "rest: idle slots, Spark"),
            List.of(COMPUTE, WAIT, FINISH, REST),
            "fetch, beside the rest");
    for (Measurement m : longest) {
      double compute = ofSlot(m, "compute_seconds");
      double wait = ofSlot(m, "wait_seconds");
      double finish = ofSlot(m, "finish_seconds");
      double rest = Math.max(0, m.seconds() - compute - wait - finish);
      plot.bar(
          new Bar(
              name(m),
              List.of(compute, wait, finish, rest),
              ofSlot(m, "fetch_seconds"),
              Axis.text(m.seconds()) + " s"));
    }
    return new Figure("Time split, " + where, plot.svg());
  }

  private static double ofSlot(Measurement m, String column) {
    return m.median(column) / m.taskSlots();
  }

  /** MB between executors; empty where none moved. */
  Optional<Figure> bytesMoved() {
    if (longest.stream().allMatch(m -> m.median("bytes_moved") == 0)) {
      return Optional.empty();
    }
    String caption = "Bytes moved between executors, " + where;
    return Optional.of(
        single(caption, "moved, MB", 0, "%,.1f", m -> m.median("bytes_moved") / 1e6));
  }

  /** The largest work of a rank over the mean. */
  Figure skew() {
    String caption = "Skew: largest work of a rank over the mean, " + where;
    return single(caption, "skew, largest / mean", 1, "%.3f", m -> m.median("skew_max_over_mean"));
  }

  private Figure single(
      String caption,
      String axis,
      double from,
      String format,
      ToDoubleFunction<Measurement> value) {
    BarPlot plot = new BarPlot(caption, axis, from, List.of(axis), List.of(COMPUTE), null);
    for (Measurement m : longest) {
      double v = value.applyAsDouble(m);
      plot.bar(new Bar(name(m), List.of(Math.max(0, v - from)), -1, Svg.format(format, v)));
    }
    return new Figure(caption, plot.svg());
  }

  private static String name(Measurement m) {
    int shards = m.configuration().shards();
    return "%s · %s, %s, %d %s"
        .formatted(
            m.cluster(), m.exchange(), m.assignment(), shards, shards == 1 ? "shard" : "shards");
  }
}

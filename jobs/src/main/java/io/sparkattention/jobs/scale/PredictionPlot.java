package io.sparkattention.jobs.scale;

import io.sparkattention.jobs.scale.LinePlot.Point;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** The planner's seconds beside the measured ones. */
final class PredictionPlot {
  private static final String PREDICTED = "predicted_seconds";

  /** What counts as right. */
  private static final double TOLERANCE = 0.2;

  private final List<Measurement> known;

  PredictionPlot(List<Measurement> all) {
    this.known = all.stream().filter(m -> predicted(m) > 0).toList();
  }

  /** NaN where there is none. */
  private static double predicted(Measurement m) {
    return m.optionalMedian(PREDICTED).orElse(Double.NaN);
  }

  /** How many are right, in a sentence. */
  String summary() {
    if (known.isEmpty()) {
      return "These runs have no prediction beside them.";
    }
    long right =
        known.stream().filter(m -> Math.abs(predicted(m) / m.seconds() - 1) <= TOLERANCE).count();
    return "Of %d configurations %d were predicted within %.0f %% of the measured median, the shaded band."
        .formatted(known.size(), right, 100 * TOLERANCE);
  }

  /** Empty where nothing was predicted. */
  Optional<Figure> figure() {
    if (known.isEmpty()) {
      return Optional.empty();
    }
    List<Double> both = known.stream().flatMap(m -> Stream.of(m.seconds(), predicted(m))).toList();
    LinePlot plot =
        new LinePlot(
            "Predicted over measured seconds",
            Axis.logarithmic("measured, seconds", both),
            Axis.logarithmic("predicted, seconds", both));
    plot.band(1 - TOLERANCE, 1 + TOLERANCE);
    List<String> names = new ArrayList<>();
    for (Measurement m : known) {
      String name = m.cluster() + " · " + m.exchange();
      if (!names.contains(name)) {
        plot.legend().mark(LineStyle.of(names.size()), name);
        names.add(name);
      }
      plot.mark(
          new Point(m.seconds(), predicted(m)),
          LineStyle.of(names.indexOf(name)),
          "%s: measured %s, predicted %s"
              .formatted(m.configuration(), Axis.text(m.seconds()), Axis.text(predicted(m))));
    }
    return Optional.of(new Figure("Prediction beside measurement", plot.svg()));
  }
}

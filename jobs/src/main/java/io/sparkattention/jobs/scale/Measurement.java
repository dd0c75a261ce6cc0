package io.sparkattention.jobs.scale;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;

/** All results of one configuration on one cluster that were measured. */
final class Measurement {
  private final List<Result> results = new ArrayList<>();

  private Measurement() {}

  private record ClusterCell(String cluster, Configuration configuration) {}

  /** One of each configuration and cluster with a measured result, in the order of the rows. */
  static List<Measurement> of(List<Result> rows) {
    Map<ClusterCell, Measurement> cells = new LinkedHashMap<>();
    for (Result row : rows) {
      if (row.isOk()) {
        ClusterCell cell = new ClusterCell(row.text("cluster"), row.configuration());
        cells.computeIfAbsent(cell, c -> new Measurement()).results.add(row);
      }
    }
    return List.copyOf(cells.values());
  }

  private Result first() {
    return results.get(0);
  }

  String cluster() {
    return first().text("cluster");
  }

  Configuration configuration() {
    return first().configuration();
  }

  Workload workload() {
    return new Workload(configuration().mask(), configuration().heads());
  }

  /** What is computed but for the length: the lines of a plot are of one workload. */
  record Workload(String mask, int heads) {
    @Override
    public String toString() {
      return mask + ", " + heads + (heads == 1 ? " head" : " heads");
    }
  }

  int runs() {
    return results.size();
  }

  /** The exchange that ran, also where the plan chose it. */
  String exchange() {
    return first().text("chosen_exchange");
  }

  String assignment() {
    return first().text("chosen_assignment");
  }

  /** Digests of the output, each once. */
  List<String> digests() {
    return results.stream().map(r -> r.text("output_sha256")).distinct().toList();
  }

  /** Of a column that is there in all results. */
  double median(String column) {
    return optionalMedian(column).orElseThrow();
  }

  /** Empty where no result has the column. */
  OptionalDouble optionalMedian(String column) {
    double[] sorted = sorted(column);
    int middle = sorted.length / 2;
    if (sorted.length == 0) {
      return OptionalDouble.empty();
    }
    double upper = sorted[middle];
    return OptionalDouble.of(sorted.length % 2 == 1 ? upper : (sorted[middle - 1] + upper) / 2);
  }

  double min(String column) {
    return sorted(column)[0];
  }

  double max(String column) {
    return Arrays.stream(sorted(column)).max().orElseThrow();
  }

  private double[] sorted(String column) {
    return results.stream()
        .map(result -> result.number(column))
        .flatMapToDouble(OptionalDouble::stream)
        .sorted()
        .toArray();
  }

  double seconds() {
    return median("attention_seconds");
  }

  int cores() {
    return (int) median("cores");
  }

  /** Tasks that ran at once. */
  double taskSlots() {
    return median("cores") / median("task_cpus");
  }
}

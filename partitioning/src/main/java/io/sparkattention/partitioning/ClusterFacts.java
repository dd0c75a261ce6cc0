package io.sparkattention.partitioning;

import java.io.Serializable;
import java.util.Arrays;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiFunction;

/**
 * What {@link CostModel} knows about a cluster: a number for each {@link Fact}. The defaults are
 * those of a cloud machine with AVX-512 and a 10 Gbit network; {@code calibrate} measures the
 * cluster at hand.
 *
 * <p>As text a fact is a property {@code spark.attention.facts.NAME}.
 */
public final class ClusterFacts implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Of the facts as properties. */
  public static final String PREFIX = "spark.attention.facts.";

  /** A number that predictions depend on; its comment says the unit and how it is measured. */
  public enum Fact {
    EXECUTORS("executors", 1, 1, "executor processes; asked of Spark"),
    CORES("cores", 1, 1, "cores of an executor; asked of Spark"),
    TASK_CPUS("taskCpus", 1, 1, "cores, and so threads, of a task; spark.task.cpus"),
    MEMORY("memoryGiB", 1, 1e-3, "GiB of an executor's heap; asked of its JVM"),
    PEAK(
        "peakGflops",
        115,
        1e-3,
        "GFLOP/s of one core in multiply-adds and nothing else, all cores busy; for comparison only"),
    MULTIPLY_ADDS(
        "kernelGflops",
        100,
        1e-3,
        "GFLOP/s of one core in QK' and PV, all cores busy; from folds at headDim 64 and 128"),
    SCORE(
        "scoreNanos",
        0.1,
        0,
        "ns that a score costs beside its multiply-adds; from the same folds"),
    MASKED_SCORE(
        "maskedScoreNanos",
        0.3,
        0,
        "ns more for a score among 6 queries x 64 keys that a mask shows in part; a fold with a window"),
    LEAF(
        "leafNanos",
        1.8,
        0,
        "ns to merge one output element of a key block into a state; blocks of 256 keys against 2048"),
    ROW("rowNanos", 3, 0, "ns to begin and finish a state, per output element; its own loop"),
    STREAM(
        "streamGBs",
        14,
        1e-3,
        "GB/s of one core that reads keys and values for few queries, all cores busy; a fold of one query"),
    NETWORK("networkGBs", 1, 1e-6, "GB/s into an executor from others; fetches of 16 MB blocks"),
    LATENCY("networkMillis", 5, 0, "ms of a fetch beside its bytes; fetches of small blocks"),
    SHUFFLE(
        "shuffleGBs", 0.4, 1e-6, "GB/s of one task that writes states to a shuffle or reads them"),
    STORAGE("storageGBs", 0.5, 1e-6, "GB/s of an executor that reads blocks from its own disk"),
    STAGE("stageMillis", 20, 0, "ms between the last task of a stage and the first of the next"),
    TASK("taskMillis", 5, 0, "ms of a task beside its work: scheduling, start, result"),
    RENDEZVOUS(
        "rendezvousMillis", 1000, 0, "ms for all ranks of a barrier stage to find each other");

    private final String text;
    private final double fallback;
    private final double least;
    private final String meaning;

    Fact(String text, double fallback, double least, String meaning) {
      this.text = text;
      this.fallback = fallback;
      this.least = least;
      this.meaning = meaning;
    }

    /** The property's name without {@link #PREFIX}. */
    public String text() {
      return text;
    }

    /** The value where nobody measured. */
    public double fallback() {
      return fallback;
    }

    /** Unit, meaning and how it is measured, in one line. */
    public String meaning() {
      return meaning;
    }

    private boolean isCount() {
      return this == EXECUTORS || this == CORES || this == TASK_CPUS;
    }
  }

  private static final double LARGEST = 1e9;

  private final EnumMap<Fact, Double> values;

  private ClusterFacts(EnumMap<Fact, Double> values) {
    this.values = values;
  }

  /** The default of every fact. */
  public static ClusterFacts defaults() {
    EnumMap<Fact, Double> values = new EnumMap<>(Fact.class);
    for (Fact fact : Fact.values()) {
      values.put(fact, fact.fallback);
    }
    return new ClusterFacts(values);
  }

  /**
   * These facts with some replaced.
   *
   * @param properties by full name, as {@link #toString} prints them
   * @throws IllegalArgumentException if a name is unknown or a value not the number that it should
   *     be; the message names it and what is expected
   */
  public ClusterFacts with(Map<String, String> properties) {
    ClusterFacts facts = this;
    for (Map.Entry<String, String> property : new TreeMap<>(properties).entrySet()) {
      facts = facts.with(fact(property.getKey()), property.getValue());
    }
    return facts;
  }

  private static Fact fact(String name) {
    return Arrays.stream(Fact.values())
        .filter(fact -> name.equals(PREFIX + fact.text))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "Unknown cluster fact '%s': expected one of %s*, such as %s%s"
                        .formatted(name, PREFIX, PREFIX, likeliest(name).text)));
  }

  /** The one that shares the longest beginning; a hint needs no more. */
  private static Fact likeliest(String name) {
    String last = name.substring(name.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
    return Arrays.stream(Fact.values())
        .max(Comparator.comparingInt(fact -> common(last, fact.text.toLowerCase(Locale.ROOT))))
        .orElseThrow();
  }

  private static int common(String a, String b) {
    int length = 0;
    while (length < Math.min(a.length(), b.length()) && a.charAt(length) == b.charAt(length)) {
      length++;
    }
    return length;
  }

  private ClusterFacts with(Fact fact, String text) {
    try {
      return with(fact, Double.parseDouble(text.strip()));
    } catch (NumberFormatException e) {
      throw invalid(fact, text);
    }
  }

  /**
   * These facts with one replaced.
   *
   * @throws IllegalArgumentException if the value is not one that the fact can have
   */
  public ClusterFacts with(Fact fact, double value) {
    // Not the opposite comparison: NaN is refused too.
    boolean inRange = value >= fact.least && value <= LARGEST;
    if (!inRange || (fact.isCount() && value != Math.rint(value))) {
      throw invalid(fact, Double.toString(value));
    }
    EnumMap<Fact, Double> changed = new EnumMap<>(values);
    changed.put(fact, value);
    return new ClusterFacts(changed);
  }

  private static IllegalArgumentException invalid(Fact fact, String found) {
    return new IllegalArgumentException(
        String.format(
            Locale.ROOT,
            "Invalid %s%s: found '%s', expected a %s from %s to 1e9 (%s)",
            PREFIX,
            fact.text,
            found,
            fact.isCount() ? "whole number" : "number",
            number(fact.least),
            fact.meaning));
  }

  /** The number of a fact, in its own unit. */
  public double get(Fact fact) {
    return values.get(fact);
  }

  public int executors() {
    return (int) get(Fact.EXECUTORS);
  }

  /** Tasks that an executor runs at once. */
  public int slotsPerExecutor() {
    return Math.max(1, (int) get(Fact.CORES) / (int) get(Fact.TASK_CPUS));
  }

  /** Tasks that the cluster runs at once. */
  public int slots() {
    return Math.multiplyExact(executors(), slotsPerExecutor());
  }

  /** Bytes of an executor's heap. */
  public double memoryBytes() {
    return get(Fact.MEMORY) * (1L << 30);
  }

  /** A fact given in ns or ms, in seconds; one given in GB/s or GFLOP/s, per second. */
  double si(Fact fact) {
    double value = get(fact);
    return switch (fact) {
      case SCORE, MASKED_SCORE, LEAF, ROW -> value * 1e-9;
      case LATENCY, STAGE, TASK, RENDEZVOUS -> value * 1e-3;
      case PEAK, MULTIPLY_ADDS, STREAM, NETWORK, SHUFFLE, STORAGE -> value * 1e9;
      case EXECUTORS, CORES, TASK_CPUS, MEMORY -> value;
    };
  }

  /** A properties file with a comment for each fact. */
  @Override
  public String toString() {
    return text(
        (fact, value) -> "# " + fact.meaning + "\n" + PREFIX + fact.text + "=" + value + "\n");
  }

  private String text(BiFunction<Fact, String, String> line) {
    StringBuilder text = new StringBuilder();
    values.forEach((fact, value) -> text.append(line.apply(fact, number(value))));
    return text.toString();
  }

  /** Four digits: what is measured has no more. */
  private static String number(double value) {
    return value == Math.rint(value) && value < 1e7
        ? Long.toString((long) value)
        : String.format(Locale.ROOT, "%.4g", value);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ClusterFacts facts && facts.values.equals(values);
  }

  @Override
  public int hashCode() {
    return values.hashCode();
  }
}

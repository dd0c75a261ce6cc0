package io.sparkattention.jobs.scale;

import io.sparkattention.driver.AttentionReport;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;

/** One run of an experiment: a row of its results by column. Absent values are empty. */
final class Result {
  static final String OK = "ok";

  /** The combination is not supported, or this cluster cannot run it. */
  static final String SKIPPED = "skipped";

  static final String FAILED = "failed";

  /** Which run it was, and how it ended. */
  private static final List<String> IDENTITY =
      List.of(
          "cluster",
          "master",
          "slots",
          "task_cpus",
          "tokens",
          "heads",
          "key_value_heads",
          "head_dim",
          "mask",
          "exchange",
          "assignment",
          "shards",
          "repetition",
          "status",
          "reason",
          "output_sha256");

  /** What the plan made of {@code auto}. */
  private static final List<String> CHOSEN = List.of("chosen_exchange", "chosen_assignment");

  private static final List<String> CIRCUMSTANCES =
      List.of("started", "run_seconds", "cpu", "java");

  /** The columns of all results, in order. */
  static final List<String> COLUMNS = columns();

  private final Map<String, String> values;

  private Result(Map<String, String> values) {
    this.values = values;
  }

  /** Of values by column; those of other columns are left out. */
  static Result of(Map<String, String> values) {
    Map<String, String> kept = new LinkedHashMap<>();
    COLUMNS.forEach(column -> kept.put(column, values.getOrDefault(column, "")));
    return new Result(kept);
  }

  /** Of a line's values in the order of {@link #COLUMNS}. */
  static Result of(List<String> row) {
    Map<String, String> values = new LinkedHashMap<>();
    for (int i = 0; i < row.size(); i++) {
      values.put(COLUMNS.get(i), row.get(i));
    }
    return new Result(values);
  }

  private static List<String> columns() {
    List<String> columns = new ArrayList<>(IDENTITY);
    columns.addAll(CHOSEN);
    for (RecordComponent component : AttentionReport.class.getRecordComponents()) {
      String name = snakeCase(component.getName());
      if (!columns.contains(name)) {
        columns.add(name);
      }
    }
    columns.addAll(CIRCUMSTANCES);
    return Collections.unmodifiableList(columns);
  }

  /** As in {@code report.json}. */
  private static String snakeCase(String name) {
    return name.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
  }

  /** The values of a report by column. */
  static Map<String, String> valuesOf(AttentionReport report) {
    Map<String, String> values = new LinkedHashMap<>();
    for (RecordComponent component : AttentionReport.class.getRecordComponents()) {
      try {
        Object value = component.getAccessor().invoke(report);
        values.put(snakeCase(component.getName()), value == null ? "" : value.toString());
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException("Cannot read a public record", e);
      }
    }
    values.put("chosen_exchange", report.exchange());
    values.put("chosen_assignment", report.assignment());
    return values;
  }

  List<String> row() {
    return List.copyOf(values.values());
  }

  /** Empty where there is no such column. */
  String text(String column) {
    return values.getOrDefault(column, "");
  }

  /** Empty where there is no value, or no such column. */
  OptionalDouble number(String column) {
    String text = text(column);
    return text.isEmpty() ? OptionalDouble.empty() : OptionalDouble.of(Double.parseDouble(text));
  }

  boolean isOk() {
    return text("status").equals(OK);
  }

  /** Whether a resumed experiment need not run it again. */
  boolean isDone() {
    return !text("status").equals(FAILED);
  }

  int repetition() {
    return Integer.parseInt(text("repetition"));
  }

  Configuration configuration() {
    return new Configuration(
        Long.parseLong(text("tokens")),
        Integer.parseInt(text("heads")),
        text("mask"),
        text("exchange"),
        text("assignment"),
        Integer.parseInt(text("shards")));
  }
}

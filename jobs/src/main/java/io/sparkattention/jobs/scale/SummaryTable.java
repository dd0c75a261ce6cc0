package io.sparkattention.jobs.scale;

import io.sparkattention.driver.model.Markup;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Collectors;

/** A line for each measured configuration, for the console and for the page. */
final class SummaryTable {
  /** Enough of a SHA-256 for a person to compare. */
  static final int DIGEST_DIGITS = 12;

  /**
   * @param number whether the column is aligned to the right
   */
  private record Column(String name, boolean number, Function<Measurement, String> cell) {}

  private static final List<Column> COLUMNS =
      List.of(
          new Column("cluster", false, Measurement::cluster),
          new Column("tokens", true, m -> Svg.format("%,d", m.configuration().tokens())),
          new Column("heads", true, m -> Integer.toString(m.configuration().heads())),
          new Column("mask", false, m -> m.configuration().mask()),
          new Column("exchange", false, Measurement::exchange),
          new Column("assignment", false, Measurement::assignment),
          new Column("shards", true, m -> Integer.toString(m.configuration().shards())),
          new Column("runs", true, m -> Integer.toString(m.runs())),
          new Column("seconds", true, m -> Svg.format("%.3f", m.seconds())),
          new Column("min", true, m -> Svg.format("%.3f", m.min("attention_seconds"))),
          new Column("max", true, m -> Svg.format("%.3f", m.max("attention_seconds"))),
          new Column("GFLOP/s", true, m -> Svg.format("%.1f", m.median("gflops"))),
          new Column("of peak", true, SummaryTable::shareOfPeak),
          new Column("MB moved", true, m -> Svg.format("%.1f", m.median("bytes_moved") / 1e6)),
          new Column("skew", true, m -> Svg.format("%.3f", m.median("skew_max_over_mean"))),
          new Column("output SHA-256", false, SummaryTable::digests));

  private final List<Measurement> measurements;

  SummaryTable(List<Measurement> measurements) {
    this.measurements = measurements;
  }

  private static String shareOfPeak(Measurement m) {
    return m.optionalMedian("efficiency").isPresent()
        ? Svg.format("%.2f", m.median("efficiency"))
        : "";
  }

  private static String digests(Measurement m) {
    return m.digests().stream()
        .map(digest -> digest.substring(0, DIGEST_DIGITS))
        .collect(Collectors.joining(" "));
  }

  private List<List<String>> rows() {
    List<List<String>> rows = new ArrayList<>();
    for (Measurement m : measurements) {
      rows.add(COLUMNS.stream().map(column -> column.cell.apply(m)).toList());
    }
    return rows;
  }

  /** In columns of equal width, with a line of names. */
  String text() {
    List<List<String>> lines = new ArrayList<>();
    lines.add(COLUMNS.stream().map(Column::name).toList());
    lines.addAll(rows());
    StringBuilder text = new StringBuilder();
    for (List<String> line : lines) {
      List<String> cells = new ArrayList<>();
      for (int c = 0; c < line.size(); c++) {
        int column = c;
        int width = lines.stream().mapToInt(l -> l.get(column).length()).max().orElse(1);
        String form = COLUMNS.get(c).number ? "%" + width + "s" : "%-" + width + "s";
        cells.add(form.formatted(line.get(c)));
      }
      text.append(String.join("  ", cells).stripTrailing()).append('\n');
    }
    return text.toString();
  }

  String html() {
    StringBuilder html = new StringBuilder("<div class=\"wide\"><table><thead><tr>");
    COLUMNS.forEach(column -> html.append(cell("th", column, column.name)));
    html.append("</tr></thead><tbody>\n");
    for (List<String> row : rows()) {
      html.append("<tr>");
      for (int c = 0; c < row.size(); c++) {
        html.append(cell("td", COLUMNS.get(c), row.get(c)));
      }
      html.append("</tr>\n");
    }
    return html.append("</tbody></table></div>\n").toString();
  }

  private static String cell(String tag, Column column, String text) {
    return "<%s%s>%s</%s>"
        .formatted(tag, column.number ? " class=\"number\"" : "", Markup.escape(text), tag);
  }
}

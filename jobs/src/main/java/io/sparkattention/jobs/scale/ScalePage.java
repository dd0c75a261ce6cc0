package io.sparkattention.jobs.scale;

import io.sparkattention.driver.model.Markup;
import io.sparkattention.jobs.scale.Measurement.Workload;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * One HTML page about all results of an experiment. It holds everything itself, runs no script and
 * asks no network, and depends on the results alone.
 */
public final class ScalePage {
  private final String title;
  private final List<Result> results;
  private final List<Measurement> measurements;
  private final Map<Workload, List<Measurement>> byWorkload = new LinkedHashMap<>();

  private ScalePage(String title, List<Result> results) {
    this.title = title;
    this.results = results;
    this.measurements = Measurement.of(results);
    for (Measurement m : measurements) {
      byWorkload.computeIfAbsent(m.workload(), w -> new ArrayList<>()).add(m);
    }
  }

  /** The page of a folder's results. */
  public static ScalePage of(Experiment experiment, ResultsFolder folder) {
    return new ScalePage(experiment.title(), folder.results());
  }

  /** The measured configurations as a table for the console. */
  public String table() {
    return new SummaryTable(measurements).text();
  }

  /** Whether there is any measured configuration. */
  public boolean isEmpty() {
    return measurements.isEmpty();
  }

  /** Whether all runs of a workload and length gave the same bits. */
  public boolean sameBits() {
    return SameBits.of(measurements).stream().allMatch(SameBits::holds);
  }

  /** Why configurations have no result, each reason once. */
  public List<String> reasons() {
    return unmeasured().stream().map(r -> r.text("reason")).distinct().toList();
  }

  /** The page, well-formed as HTML and as XML. */
  public String html() {
    StringBuilder page = new StringBuilder();
    String name = Markup.escape(title);
    page.append("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n")
        .append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n")
        .append("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ")
        .append("style-src 'unsafe-inline'\"/>\n<title>")
        .append(name)
        .append("</title>\n<style>\n")
        .append(PageStyle.CSS)
        .append("</style>\n</head>\n<body>\n<h1>")
        .append(name)
        .append("</h1>\n");
    appendClusters(page);
    if (!measurements.isEmpty()) {
      appendBits(page);
      byWorkload.forEach((workload, of) -> appendWorkload(page, workload, of));
      appendPredictions(page);
      heading(page, "All configurations");
      paragraph(page, "Seconds are medians over the runs, with the least and the largest.");
      page.append(new SummaryTable(measurements).html());
    }
    appendUnmeasured(page);
    return page.append("</body>\n</html>\n").toString();
  }

  private static void heading(StringBuilder page, String text) {
    page.append("<h2>").append(Markup.escape(text)).append("</h2>\n");
  }

  private static void paragraph(StringBuilder page, String text) {
    page.append("<p>").append(Markup.escape(text)).append("</p>\n");
  }

  private void appendClusters(StringBuilder page) {
    paragraph(
        page,
        "Attention of synthetic queries, keys and values. Seconds are wall time from the first"
            + " attention task's start to the last one's end; marks are medians over repetitions,"
            + " vertical lines reach from the least to the largest. Point at a mark or a bar for"
            + " its configuration.");
    paragraph(
        page,
        "Where the time went: a task folds keys and values into its queries (compute), waits for"
            + " those that are not there yet, and makes rows of the result (finish); a thread of"
            + " its own fetches meanwhile. The rest is Spark's own work, and slots that are idle"
            + " while others still compute.");
    page.append("<div class=\"wide\"><table><thead><tr><th>cluster</th><th>slots</th>")
        .append("<th>cores of a slot</th><th>CPU</th><th>Java</th><th>kernel</th>")
        .append("<th>first run</th></tr></thead><tbody>\n");
    Set<String> seen = new LinkedHashSet<>();
    for (Result r : results) {
      if (seen.add(r.text("cluster"))) {
        page.append("<tr>");
        Stream.of(
                r.text("cluster"),
                r.text("slots"),
                r.text("task_cpus"),
                r.text("cpu"),
                r.text("java"),
                kernels(r.text("cluster")),
                r.text("started"))
            .forEach(text -> page.append("<td>").append(Markup.escape(text)).append("</td>"));
        page.append("</tr>\n");
      }
    }
    page.append("</tbody></table></div>\n");
  }

  private String kernels(String cluster) {
    return String.join(
        ", ",
        results.stream()
            .filter(r -> r.isOk() && r.text("cluster").equals(cluster))
            .map(r -> r.text("kernel"))
            .distinct()
            .toList());
  }

  private void appendBits(StringBuilder page) {
    heading(page, "The same bits");
    paragraph(
        page,
        "SHA-256 of the output rows, over all clusters, exchanges, assignments, shards and"
            + " repetitions: it may depend on the workload and its length alone.");
    page.append("<div class=\"wide\"><table><thead><tr><th>workload</th>")
        .append("<th class=\"number\">tokens</th><th class=\"number\">runs</th>")
        .append("<th>SHA-256</th></tr></thead><tbody>\n");
    for (SameBits bits : SameBits.of(measurements)) {
      String found =
          bits.holds() ? bits.digests().get(0) : "different: " + String.join(" ", bits.digests());
      page.append(
          Svg.format(
              "<tr><td>%s</td><td class=\"number\">%,d</td><td class=\"number\">%d</td><td%s>%s</td></tr>%n",
              Markup.escape(bits.workload().toString()),
              bits.tokens(),
              bits.runs(),
              bits.holds() ? "" : " class=\"wrong\"",
              Markup.escape(found)));
    }
    page.append("</tbody></table></div>\n");
  }

  private static void appendWorkload(
      StringBuilder page, Workload workload, List<Measurement> measurements) {
    heading(page, workload.toString());
    ScalingPlots scaling = new ScalingPlots(workload, measurements);
    List<Figure> lines = new ArrayList<>();
    if (scaling.hasSeveralLengths()) {
      lines.add(scaling.seconds());
      scaling.shareOfPeak().ifPresent(lines::add);
    }
    if (scaling.hasSeveralCoreCounts()) {
      lines.add(scaling.strongScaling());
      lines.add(scaling.parallelEfficiency());
      scaling.weakScaling().ifPresent(lines::add);
    } else {
      paragraph(
          page,
          "Strong and weak scaling: one number of cores so far; run the experiment on another"
              + " cluster with the same --output.");
    }
    scaling.bytesMoved().ifPresent(lines::add);
    page.append("<div class=\"plots\">\n");
    lines.forEach(figure -> page.append(figure.html()));
    page.append("</div>\n");
    ConfigurationPlots bars = new ConfigurationPlots(workload, measurements);
    page.append(bars.timeSplit().html());
    Optional<Figure> bytes = bars.bytesMoved();
    if (bytes.isPresent()) {
      page.append(bytes.get().html());
    } else {
      paragraph(page, "No bytes moved between executors: each cluster is one JVM.");
    }
    page.append(bars.skew().html());
  }

  private void appendPredictions(StringBuilder page) {
    heading(page, "Prediction beside measurement");
    PredictionPlot plot = new PredictionPlot(measurements);
    paragraph(page, plot.summary());
    plot.figure().ifPresent(figure -> page.append(figure.html()));
  }

  /** Skipped, or failed and not run again since. */
  private List<Result> unmeasured() {
    Map<String, Result> last = new LinkedHashMap<>();
    for (Result r : results) {
      last.put(r.text("cluster") + "\n" + r.configuration() + "\n" + r.repetition(), r);
    }
    return last.values().stream().filter(r -> !r.isOk()).toList();
  }

  private void appendUnmeasured(StringBuilder page) {
    if (unmeasured().isEmpty()) {
      return;
    }
    heading(page, "Without a result");
    page.append("<div class=\"wide\"><table><thead><tr><th>cluster</th><th>configuration</th>")
        .append("<th></th><th>reason</th></tr></thead><tbody>\n");
    Set<String> seen = new LinkedHashSet<>();
    for (Result r : unmeasured()) {
      String row =
          "<tr><td>%s</td><td>%s</td><td>%s</td><td class=\"reason\">%s</td></tr>%n"
              .formatted(
                  Markup.escape(r.text("cluster")),
                  Markup.escape(r.configuration().toString()),
                  Markup.escape(r.text("status")),
                  Markup.escape(r.text("reason")));
      if (seen.add(row)) {
        page.append(row);
      }
    }
    page.append("</tbody></table></div>\n");
  }
}

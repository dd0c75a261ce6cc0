package io.sparkattention.jobs.scale;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ScalePageTest {
  @TempDir Path folder;

  private ScalePage page(List<Result> results) throws IOException {
    Path file = Files.writeString(folder.resolve("e.experiment"), "title <T>\nlengths 1\n");
    Experiment experiment = Experiment.read(file, list -> list);
    try (ResultsFolder opened =
        ResultsFolder.open(folder.resolve("out").toString(), experiment, true)) {
      for (Result result : results) {
        opened.add(result);
      }
      return ScalePage.of(experiment, opened);
    }
  }

  private static List<Result> twoClusters() {
    List<Result> results = new ArrayList<>();
    for (long tokens : new long[] {1000, 2000, 4000}) {
      double work = tokens * tokens / 1e6;
      results.add(Rows.ok("local[1]", 1, tokens, work));
      results.add(Rows.ok("local[1]", 1, tokens, 1.1 * work, "repetition", "2"));
      results.add(Rows.ok("local[2]", 2, tokens, 0.6 * work));
      results.add(
          Rows.ok("two executors", 2, tokens, 0.7 * work, "bytes_moved", "" + 512 * tokens));
    }
    return results;
  }

  @Test
  void allPlotsAreThere() throws IOException {
    String html = page(twoClusters()).html();
    assertThat(html)
        .contains(
            "<h2>causal, 2 heads</h2>",
            "Time: attention over the length",
            "Efficiency: share of the multiply-add peak",
            "Strong scaling: the same length on more cores",
            "Efficiency of strong scaling",
            "Weak scaling: as many tokens for each core",
            "Bytes moved between executors",
            "Time split",
            "Skew")
        .contains(
            "attention, seconds", "moved, MB", "GFLOP/s of each core", "1,000 tokens per core")
        .contains("local[1]", "local[2]", "two executors", "&lt;T&gt;");
    // Six over lengths and cores; time split, bytes and skew of the longest length.
    assertThat(PlotTest.parse(html).getElementsByTagName("svg").getLength()).isEqualTo(9);
  }

  @Test
  void thePageAsksNobody() throws IOException {
    assertThat(page(twoClusters()).html())
        .doesNotContainPattern("(?i)<script|src=|href=|url\\(|https?:|@import")
        .contains("default-src 'none'");
  }

  @Test
  void oneClusterHasNoPlotsOverCores() throws IOException {
    List<Result> one =
        twoClusters().stream().filter(r -> r.text("cluster").equals("local[1]")).toList();
    assertThat(page(one).html())
        .contains("one number of cores so far", "No bytes moved", "have no prediction")
        .doesNotContain("Strong scaling: the same length");
  }

  @Test
  void predictionsStandBesideMeasurements() throws IOException {
    if (!Result.COLUMNS.contains("predicted_seconds")) {
      return;
    }
    List<Result> results =
        List.of(
            Rows.ok("local[1]", 1, 1000, 1, "predicted_seconds", "1.19"),
            Rows.ok("local[1]", 1, 2000, 4, "predicted_seconds", "5"),
            Rows.ok("local[1]", 1, 4000, 16, "predicted_seconds", "13"));
    assertThat(page(results).html())
        .contains("Of 3 configurations 2 were predicted within 20 %", "predicted, seconds");
  }

  @Test
  void differentBitsAreSeen() throws IOException {
    List<Result> results = new ArrayList<>(twoClusters());
    assertThat(page(results).sameBits()).isTrue();
    results.add(Rows.ok("other", 2, 1000, 1, "output_sha256", "f00dbeefcafe12"));
    ScalePage page = page(results);
    assertThat(page.sameBits()).isFalse();
    assertThat(page.html()).contains("class=\"wrong\">different: 0123456789abcdef f00dbeefcafe12<");
  }

  @Test
  void whatCouldNotRunHasItsReason() throws IOException {
    List<Result> results = new ArrayList<>(twoClusters());
    results.add(
        Rows.ok("x", 2, 9, 1, "status", Result.SKIPPED, "reason", "need 8 slots, have <2>"));
    results.add(Rows.ok("x", 2, 10, 1, "status", Result.FAILED, "reason", "disk full"));
    results.add(Rows.ok("x", 2, 10, 1));
    ScalePage page = page(results);
    // What failed and went well later is no failure.
    assertThat(page.reasons()).containsExactly("need 8 slots, have <2>");
    assertThat(page.html()).contains("need 8 slots, have &lt;2&gt;").doesNotContain("disk full");
    ScalePage empty = page(results.subList(results.size() - 3, results.size() - 2));
    assertThat(empty.isEmpty()).isTrue();
    PlotTest.parse(empty.html());
  }

  @Test
  void theTableHasMediansInColumns() throws IOException {
    List<String> lines = page(twoClusters()).table().lines().toList();
    assertThat(lines).hasSize(10);
    assertThat(lines.get(0)).startsWith("cluster ").endsWith("output SHA-256");
    assertThat(lines.get(1)).contains("local[1]", " 1.050 ", " 1.000 ", " 1.100 ", "0123456789ab");
    assertThat(lines.get(1).indexOf("0123456789ab")).isEqualTo(lines.get(0).indexOf("output SHA"));
  }
}

package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Experiments of a few hundred tokens, from the file to the page. */
class ScaleCommandTest extends CommandTest {
  private static final String EXPERIMENT =
      """
      lengths 200, 300
      heads 2
      headDim 8
      masks causal; documents:250,10
      exchanges ring, reduce
      shards 3
      repetitions 1
      warmUps 0
      blockTokens 64
      """;

  private Path experiment() throws IOException {
    return Files.writeString(at("my.experiment"), EXPERIMENT);
  }

  private List<String> rows() throws IOException {
    return Files.readAllLines(at("out/results.csv"));
  }

  private int scale(Object... more) throws IOException {
    Object[] arguments = new Object[5 + more.length];
    System.arraycopy(
        new Object[] {"scale", "--experiment", experiment(), "--output", at("out")},
        0,
        arguments,
        0,
        5);
    System.arraycopy(more, 0, arguments, 5, more.length);
    return run(arguments);
  }

  @Test
  void anExperimentLeavesRowsAndAPageAndGoesOnWhereItWas() throws IOException {
    assertThat(scale()).as(err.toString()).isZero();
    // 200 tokens are too short for the documents: skipped, with the reason.
    assertThat(rows()).hasSize(1 + 8);
    assertThat(rows().stream().filter(row -> row.contains(",ok,"))).hasSize(6);
    assertThat(rows().stream().filter(row -> row.contains(",skipped,\"Cannot use"))).hasSize(2);
    assertThat(out.toString())
        .contains("[1/8] 200 tokens × 2 heads, causal, ring, auto assignment, 3 shards: ")
        .contains("Without a result: Cannot use")
        .contains("output SHA-256");
    // One digest for each workload and length that ran.
    assertThat(rows().stream().skip(1).flatMap(row -> digest(row).stream()).distinct()).hasSize(3);
    assertThat(at("out/index.html")).content().contains("<svg", "causal, 2 heads");

    // As if it had been interrupted in the middle of the last row.
    List<String> before = rows();
    String all = Files.readString(at("out/results.csv"));
    Files.writeString(at("out/results.csv"), all.substring(0, all.length() - 20));
    assertThat(scale()).isZero();
    assertThat(rows()).hasSize(9);
    assertThat(rows().subList(0, 8)).isEqualTo(before.subList(0, 8));

    String page = Files.readString(at("out/index.html"));
    assertThat(scale()).isZero();
    assertThat(rows()).hasSize(9);
    assertThat(at("out/index.html")).hasContent(page);
  }

  private static List<String> digest(String row) {
    return List.of(row.split(",")).stream().filter(cell -> cell.matches("[0-9a-f]{64}")).toList();
  }

  @Test
  void labelsAreClusters() throws IOException {
    Files.writeString(at("small.experiment"), "lengths 100\nheadDim 8\nrepetitions 1\nwarmUps 1\n");
    for (String label : List.of("one", "two", "two")) {
      assertThat(
              run(
                  "scale",
                  "--experiment",
                  at("small.experiment"),
                  "--output",
                  at("out"),
                  "--label",
                  label))
          .as(err.toString())
          .isZero();
    }
    assertThat(rows()).hasSize(3);
    assertThat(rows().get(1)).startsWith("one,local[2],2,1,100,");
    assertThat(rows().get(2)).startsWith("two,local[2],2,1,100,");
    assertThat(out.toString()).contains("[warm-up] 100 tokens");
  }

  @Test
  void whatIsWrongIsRefused() throws IOException {
    Path file = Files.writeString(at("bad.experiment"), "lengths 100\nmask full\n");
    assertRefused(
        "Unknown setting 'mask' in '%s': did you mean 'masks'?".formatted(file),
        "scale",
        "--experiment",
        file,
        "--output",
        at("out"));
  }

  @Test
  void aLabelThatNobodyCanReadIsRefused() throws IOException {
    Path file = experiment();
    assertRefused(
        "Invalid --label: found 'a\tb', expected 1 to 60 printable characters; shorten it",
        "scale",
        "--experiment",
        file,
        "--output",
        at("out"),
        "--label",
        "a\tb");
  }

  @Test
  void nothingThatCanRunIsAFailedRun() throws IOException {
    Path file = Files.writeString(at("my.experiment"), "lengths 9\nmasks documents:100,1\n");
    assertThat(run("scale", "--experiment", file, "--output", at("out"))).isEqualTo(1);
    assertThat(err.toString()).startsWith("error: No configuration could run here: Cannot use");
  }
}

package io.sparkattention.jobs.scale;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ResultsFolderTest {
  @TempDir Path folder;

  private Experiment experiment(String text) throws IOException {
    return Experiment.read(Files.writeString(folder.resolve("e.experiment"), text), list -> list);
  }

  private ResultsFolder open(String text, boolean restart) throws IOException {
    return ResultsFolder.open(folder.resolve("out").toString(), experiment(text), restart);
  }

  private Path results() {
    return folder.resolve("out/results.csv");
  }

  private static List<List<String>> rows(ResultsFolder opened) {
    return opened.results().stream().map(Result::row).toList();
  }

  @Test
  void rowsAreThereAgainWhateverTheyHold() throws IOException {
    Result odd =
        Rows.ok("a, \"b\" <c>", 1, 10, 0.5, "reason", "two\nlines, \"quoted\"", "mask", "");
    Result plain = Rows.ok("local[2]", 2, 20, 1.5);
    try (ResultsFolder first = open("lengths 10", false)) {
      first.add(odd);
      first.add(plain);
    }
    try (ResultsFolder second = open("lengths 10", false)) {
      assertThat(second.results()).hasSize(2);
      assertThat(second.results().get(0).text("cluster")).isEqualTo("a, \"b\" <c>");
      assertThat(second.results().get(0).text("reason")).isEqualTo("two lines, \"quoted\"");
      assertThat(second.results().get(1).row()).isEqualTo(plain.row());
    }
  }

  @Test
  void aLineThatWasCutOffIsDropped() throws IOException {
    try (ResultsFolder first = open("lengths 10", false)) {
      first.add(Rows.ok("local[1]", 1, 10, 0.5));
    }
    Files.writeString(results(), "local[1],local[1],1,1,10", StandardOpenOption.APPEND);
    try (ResultsFolder second = open("lengths 10", false)) {
      assertThat(second.results()).hasSize(1);
      second.add(Rows.ok("local[1]", 1, 20, 0.5));
    }
    assertThat(Files.readAllLines(results())).hasSize(3);
    try (ResultsFolder third = open("lengths 10", false)) {
      assertThat(rows(third)).hasSize(2);
    }
  }

  @Test
  void anotherExperimentNeedsRestart() throws IOException {
    try (ResultsFolder first = open("lengths 10", false)) {
      first.add(Rows.ok("local[1]", 1, 10, 0.5));
    }
    assertThatThrownBy(() -> open("lengths 10, 20", false))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot add to --output '%s': its results are of an experiment with 'lengths = 10', the file has 'lengths = 10, 20'; give another folder, or --restart to delete them",
            folder.resolve("out"));
    assertThat(Files.readAllLines(results())).hasSize(2);
    try (ResultsFolder restarted = open("lengths 10, 20", true)) {
      assertThat(restarted.results()).isEmpty();
    }
    assertThat(Files.readAllLines(results())).containsExactly(Csv.line(Result.COLUMNS));
  }

  @ParameterizedTest
  @ValueSource(strings = {"tokens,heads\n", "some text\nmore\n", "\n"})
  void rowsOfAnotherFormAreNotTouched(String text) throws IOException {
    open("lengths 10", false).close();
    Files.writeString(results(), text);
    assertThatThrownBy(() -> open("lengths 10", false))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("found other columns");
    assertThat(results()).hasContent(text);
  }

  @Test
  void oneProcessWritesAtATime() throws IOException {
    ResultsFolder first = open("lengths 10", false);
    assertThatThrownBy(() -> open("lengths 10", true))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("another process is writing there");
    first.close();
    open("lengths 10", false).close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"hdfs://host/out", "s3a://bucket/out", "", "a\0b"})
  void aFolderElsewhereIsRefused(String output) throws IOException {
    Experiment experiment = experiment("lengths 10");
    assertThatThrownBy(() -> ResultsFolder.open(output, experiment, false))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("Invalid --output: found '" + output + "'");
  }

  @Test
  void aFileInPlaceOfTheFolderIsRefused() throws IOException {
    Files.writeString(folder.resolve("out"), "a file");
    assertThatThrownBy(() -> open("lengths 10", false))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("Cannot write to --output");
  }
}

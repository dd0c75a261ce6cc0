package io.sparkattention.driver.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StagedOutputTest {
  private final Configuration hadoop = new Configuration();

  @TempDir Path folder;

  @Test
  void appearsAtCommitAndLeavesNothingBesideIt() throws IOException {
    Path output = folder.resolve("out");
    try (StagedOutput staged = new StagedOutput(output.toString(), false, hadoop)) {
      writeTo(staged, "new");
      assertThat(output).doesNotExist();
      staged.commit();
    }
    assertThat(output.resolve("part")).hasContent("new");
    assertOnlyOutputIn(folder);
  }

  @Test
  void withoutCommitNothingAppearsAndTheOldStays() throws IOException {
    Path output = existing("old");
    try (StagedOutput staged = new StagedOutput(output.toString(), true, hadoop)) {
      writeTo(staged, "half");
    }
    assertThat(output.resolve("part")).hasContent("old");
    assertOnlyOutputIn(folder);
  }

  @Test
  void overwritesAtCommit() throws IOException {
    Path output = existing("old");
    try (StagedOutput staged = new StagedOutput(output.toString(), true, hadoop)) {
      writeTo(staged, "new");
      assertThat(output.resolve("part")).hasContent("old");
      staged.commit();
    }
    assertThat(output.resolve("part")).hasContent("new");
    assertOnlyOutputIn(folder);
  }

  @Test
  void putsTheOldBackWhenTheNewCannotCome() throws IOException {
    Path output = existing("old");
    try (StagedOutput staged = new StagedOutput(output.toString(), true, hadoop)) {
      assertThatThrownBy(staged::commit).isInstanceOf(IOException.class);
    }
    assertThat(output.resolve("part")).hasContent("old");
    assertOnlyOutputIn(folder);
  }

  @Test
  void refusesWhatExistsBeforeAndAtCommit() throws IOException {
    String output = folder.resolve("out").toString();
    try (StagedOutput staged = new StagedOutput(output, false, hadoop)) {
      writeTo(staged, "new");
      existing("somebody else's");
      assertThatThrownBy(staged::commit).isInstanceOf(InvalidInputException.class);
    }
    assertThat(folder.resolve("out/part")).hasContent("somebody else's");
    assertThatThrownBy(() -> new StagedOutput(output, false, hadoop))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("--overwrite");
  }

  private Path existing(String content) throws IOException {
    Path output = Files.createDirectory(folder.resolve("out"));
    Files.writeString(output.resolve("part"), content);
    return output;
  }

  private static void writeTo(StagedOutput staged, String content) throws IOException {
    Path path = Files.createDirectory(Path.of(staged.path()));
    Files.writeString(path.resolve("part"), content);
  }

  private static void assertOnlyOutputIn(Path folder) throws IOException {
    try (var files = Files.list(folder)) {
      assertThat(files).containsExactly(folder.resolve("out"));
    }
  }
}

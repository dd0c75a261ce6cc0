package io.sparkattention.jobs.scale;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ExperimentTest {
  @TempDir Path folder;

  private Experiment read(String text) throws IOException {
    return read(text.getBytes(StandardCharsets.UTF_8));
  }

  private Experiment read(byte[] text) throws IOException {
    return Experiment.read(Files.write(folder.resolve("my.experiment"), text), name -> "3, 4");
  }

  @Test
  void aLengthIsEnough() throws IOException {
    Experiment experiment = read("lengths 100");
    assertThat(experiment.title()).isEqualTo("my.experiment");
    assertThat(experiment.configurations(6))
        .containsExactly(new Configuration(100, 1, "full", "ring", "auto", 6));
    assertThat(experiment.repetitions()).isEqualTo(3);
    assertThat(experiment.warmUps()).isEqualTo(1);
  }

  @Test
  void theMatrixIsTheProductOfAllLists() throws IOException {
    Experiment experiment =
        read(
            """
            # A comment.
            title = Größe
            lengths = 10, 20
            heads = 2,4
            keyValueHeads = 2
            masks = causal; sliding-window:3,4 ; documents:@lengths.txt
            exchanges = ring, reduce
            assignments = auto, zigzag
            shards = 1, slots, slots*2
            """);
    assertThat(experiment.title()).isEqualTo("Größe");
    List<Configuration> all = experiment.configurations(3);
    assertThat(all).hasSize(2 * 2 * 3 * 2 * 2 * 3).doesNotHaveDuplicates();
    assertThat(all)
        .contains(new Configuration(20, 4, "sliding-window:3,4", "reduce", "zigzag", 6))
        .contains(new Configuration(10, 2, "documents:@lengths.txt", "ring", "auto", 3));
    // On one slot two of the three numbers of shards are one.
    assertThat(experiment.configurations(1)).hasSize(2 * 2 * 3 * 2 * 2 * 2);
    assertThat(experiment.warmUpConfigurations(3)).hasSize(3 * 2).allMatch(c -> c.tokens() == 10);
    assertThat(experiment.layout(4).numKeyValueHeads()).isEqualTo(2);
  }

  @Test
  void theTextOfAnExperimentIsAnExperimentFile() throws IOException {
    Experiment experiment =
        read("lengths=10,20\nmasks=full;causal & sinks:4\nshards=slots*2\nseed=-7\nwarmUps=0");
    assertThat(read(experiment.toString())).hasToString(experiment.toString());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "length = 10          | Unknown setting 'length' in 'FILE': did you mean 'lengths'?",
        "warmups = 2          | Unknown setting 'warmups' in 'FILE': did you mean 'warmUps'?",
        "heads = 2            | Missing setting 'lengths' in 'FILE': expected whole numbers of tokens from 1, separated by commas; add it",
        "lengths = 0          | Invalid lengths in 'FILE': found '0', expected whole numbers of tokens from 1, separated by commas; correct it",
        "lengths = 10; 20     | Invalid lengths in 'FILE': found '10; 20', expected whole numbers of tokens from 1, separated by commas; correct it",
        "lengths = 10,        | Invalid lengths in 'FILE': found '', expected whole numbers of tokens from 1, separated by commas; correct it",
        "lengths = 10, 10     | Invalid lengths in 'FILE': found '10' twice, expected each once; remove one",
        "lengths = 8192 # all | Invalid lengths in 'FILE': found '8192 # all', expected whole numbers of tokens from 1, separated by commas; correct it",
        "lengths = 9999999999999999999 | Invalid lengths in 'FILE': found '9999999999999999999', expected whole numbers of tokens from 1, separated by commas; correct it",
      })
  void wrongLengthsAndKeysAreRefused(String text, String message) {
    assertRefused(text, message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "heads = 65537        | Invalid heads in 'FILE': found '65537', expected whole numbers from 1 to 65536, separated by commas; correct it",
        "headDim = 513        | Invalid headDim in 'FILE': found '513', expected a whole number from 1 to 512; correct it",
        "repetitions = 0      | Invalid repetitions in 'FILE': found '0', expected a whole number from 1 to 1000; correct it",
        "warmUps = -1         | Invalid warmUps in 'FILE': found '-1', expected a whole number from 0 to 1000; correct it",
        "blockTokens = many   | Invalid blockTokens in 'FILE': found 'many', expected a whole number from 1 to 65536; correct it",
        "keyValueType = f64   | Invalid keyValueType in 'FILE': found 'f64', expected f32, bf16 or f16; correct it",
        "seed = 1.5           | Invalid seed in 'FILE': found '1.5', expected a whole number of 64 bits; correct it",
        "shards = slots*0     | Invalid shards in 'FILE': found 'slots*0', expected whole numbers from 1 to 100000, slots or slots*N, separated by commas; correct it",
        "shards = 100001      | Invalid shards in 'FILE': found '100001', expected whole numbers from 1 to 100000, slots or slots*N, separated by commas; correct it",
        "exchanges = rings    | Invalid exchanges in 'FILE': found 'rings', expected names among auto, ring, reduce, barrier, heads, broadcast, separated by commas; correct it",
        "assignments = ZIGZAG | Invalid assignments in 'FILE': found 'ZIGZAG', expected names among auto, contiguous, zigzag, striped, balanced, separated by commas; correct it",
        "keyValueHeads = 2    | Invalid heads in 'FILE': found 1 for 2 keyValueHeads, expected a multiple of them; correct one of both",
        "seed = 1\\nseed = 2  | Invalid setting 'seed' in 'FILE': found it twice, expected it once; remove one",
      })
  void wrongValuesAreRefused(String text, String message) {
    assertRefused("lengths = 10\n" + text.replace("\\n", "\n"), message);
  }

  private void assertRefused(String text, String message) {
    String file = folder.resolve("my.experiment").toString();
    assertThatThrownBy(() -> read(text))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(message.replace("FILE", file));
  }

  @Test
  void aWrongMaskSaysWhere() {
    assertThatThrownBy(() -> read("lengths = 10\nmasks = full; sliding-window:x"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith(
            "Invalid masks in '" + folder.resolve("my.experiment") + "': found 'sliding-window:x'");
  }

  @Test
  void aMatrixThatNobodyWaitsForIsRefused() {
    String lengths = "1,2,3,4,5,6,7,8,9,10,11";
    assertThatThrownBy(
            () -> read("lengths=" + lengths + "\nheads=" + lengths + "\nrepetitions=1000"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("found 121000 runs, expected at most 100000");
  }

  @ParameterizedTest
  @ValueSource(strings = {"missing.experiment", "."})
  void aFileThatCannotBeReadIsRefused(String name) {
    assertThatThrownBy(() -> Experiment.read(folder.resolve(name), list -> list))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("Cannot read --experiment '" + folder.resolve(name) + "'");
  }

  @Test
  void bytesThatAreNoTextAreRefused() {
    assertThatThrownBy(() -> read(new byte[] {'t', '=', (byte) 0xff}))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("no UTF-8");
    assertThatThrownBy(() -> read("lengths = \\u12"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("expected Java properties");
  }
}

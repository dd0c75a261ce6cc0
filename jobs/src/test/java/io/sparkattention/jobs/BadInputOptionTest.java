package io.sparkattention.jobs;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.spark.SparkConf;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Wrong options and outputs with a right input: what a person reads. */
class BadInputOptionTest extends CommandTest {
  private Path in;
  private Path out;

  @BeforeEach
  void writeInput() {
    in = TensorFile.valid().write(at("in.safetensors"));
    out = at("out.safetensors");
  }

  private void assertOptionRefused(String message, String option, Object value) {
    assertRefused(message, "attend", "--input", in, "--output", out, option, value);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--mask | diagonal | full, causal or sliding-window:LEFT[,RIGHT] with LEFT and RIGHT from 0",
        "--mask | Causal | full, causal or sliding-window:LEFT[,RIGHT] with LEFT and RIGHT from 0",
        "--mask | sliding-window:-5 | full, causal or sliding-window:LEFT[,RIGHT] with LEFT and RIGHT from 0",
        "--mask | sliding-window:4,x | full, causal or sliding-window:LEFT[,RIGHT] with LEFT and RIGHT from 0",
        "--causal-alignment | middle | top-left or bottom-right",
        "--scale | NaN | a number between -1e30 and 1e30",
        "--scale | 1e300 | a number between -1e30 and 1e30",
        "--scale | half | a number between -1e30 and 1e30",
        "--exchange | teleport | auto, ring or reduce",
        "--assignment | foo | contiguous, zigzag, striped or balanced",
        "--block-tokens | 0 | a whole number from 1 to 65536",
        "--block-tokens | 65537 | a whole number from 1 to 65536",
        "--shards | 0 | a whole number from 1 to 100000",
        "--shards | abc | a whole number from 1 to 100000",
        "--shards | 99999999999 | a whole number from 1 to 100000",
        "--num-heads | -4 | a whole number from 1 to 65536",
        "--num-kv-heads | 1.5 | a whole number from 1 to 65536",
        "--kernel | gpu | auto, vector or scalar",
      })
  void aValueThatTheOptionDoesNotTake(String option, String value, String expected) {
    assertOptionRefused(
        "Invalid %s: found '%s', expected %s".formatted(option, value, expected), option, value);
  }

  @ParameterizedTest
  @ValueSource(strings = {"--input", "--output", "--report"})
  void anEmptyPath(String option) {
    Object[] arguments = {"attend", "--input", in, "--output", out, "--report", at("report")};
    for (int i = 0; i < arguments.length; i++) {
      if (arguments[i].equals(option)) {
        arguments[i + 1] = "";
      }
    }
    assertRefused(
        "Invalid %s: found '', expected a path such as folder/name or hdfs://host/name"
            .formatted(option),
        arguments);
  }

  @Test
  void aPathThatIsNoUri() {
    assertRefused(
        "Invalid --input: found 'a:b.safetensors', expected a path such as folder/name or"
            + " hdfs://host/name",
        "attend",
        "--input",
        "a:b.safetensors",
        "--output",
        out);
  }

  @ParameterizedTest
  @ValueSource(strings = {"barrier", "heads", "broadcast"})
  void anExchangeThatIsNotBuiltYet(String exchange) {
    assertOptionRefused(
        "Cannot use exchange '" + exchange + "': not supported yet", "--exchange", exchange);
  }

  @ParameterizedTest
  @CsvSource({"--queries, other", "--softcap, 30", "--scores-output, 3"})
  void anOptionThatIsNotBuiltYet(String option, String value) {
    assertOptionRefused("Cannot use " + option + ": not supported yet", option, value);
  }

  @Test
  void aCommandThatIsNotBuiltYet() {
    assertRefused("Cannot run 'translate': not supported yet", "translate", "--text", "x");
  }

  @Test
  void anUnknownOption() {
    assertOptionRefused(
        "Unknown option '--shard' of spark-attention attend: did you mean '--shards'?",
        "--shard",
        "2");
  }

  @Test
  void anOptionThatIsMissing() {
    assertRefused(
        "Missing required option: '--output=<output>'; 'spark-attention attend --help' lists what it"
            + " takes",
        "attend",
        "--input",
        in);
  }

  @Test
  void anOptionWithoutItsValue() {
    assertRefused(
        "Missing required parameter for option '--mask' (<mask>); 'spark-attention attend --help'"
            + " lists what it takes",
        "attend",
        "--input",
        in,
        "--output",
        out,
        "--mask");
  }

  @Test
  void anOptionTwice() {
    assertRefused(
        "option '--mask' (<mask>) should be specified only once; 'spark-attention attend --help'"
            + " lists what it takes",
        "attend",
        "--input",
        in,
        "--output",
        out,
        "--mask",
        "full",
        "--mask",
        "causal");
  }

  private void assertConfRefused(String message, String key, String value) {
    SparkConf conf = spark.sparkContext().conf();
    conf.set(key, value);
    try {
      assertRefused(message, "attend", "--input", in, "--output", out);
    } finally {
      conf.remove(key);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "blokTokens, blockTokens",
    "shard, shards",
    "numKeyValueHeads, numKvHeads",
    "causal-alignment, causalAlignment"
  })
  void aKeyThatIsUnknown(String key, String nearest) {
    assertConfRefused(
        "Unknown configuration key 'spark.attention.%s': did you mean 'spark.attention.%s'?"
            .formatted(key, nearest),
        "spark.attention." + key,
        "5");
  }

  @ParameterizedTest
  @CsvSource({
    "blockTokens, -1, a whole number from 1 to 65536",
    "mask, triangle, 'full, causal or sliding-window:LEFT[,RIGHT] with LEFT and RIGHT from 0'",
    "kernel, '', 'auto, vector or scalar'"
  })
  void aValueThatTheKeyDoesNotTake(String key, String value, String expected) {
    assertConfRefused(
        "Invalid spark.attention.%s: found '%s', expected %s".formatted(key, value, expected),
        "spark.attention." + key,
        value);
  }

  @Test
  void anOutputFileThatExists() throws IOException {
    Files.writeString(out, "precious");
    assertRefused(
        "Cannot write '"
            + out
            + "': it exists, expected no such file; choose another output or give --overwrite",
        "attend",
        "--input",
        in,
        "--output",
        out);
  }

  @Test
  void anOutputFolderThatExists() throws IOException {
    Path table = Files.createDirectory(at("out"));
    Files.writeString(table.resolve("part"), "precious");
    assertRefused(
        "Cannot write '" + table + "': it exists already; give another path or --overwrite",
        "attend",
        "--input",
        in,
        "--output",
        table);
  }

  @Test
  void aFolderIsNeverReplacedByAFile() throws IOException {
    Files.createDirectory(out);
    Files.writeString(out.resolve("part"), "precious");
    assertRefused(
        "Cannot write '" + out + "': it is a folder, expected a file; choose another output",
        "attend",
        "--input",
        in,
        "--output",
        out,
        "--overwrite");
  }

  @ParameterizedTest
  @ValueSource(strings = {"note.txt/out.safetensors", "note.txt/deep/out"})
  void anOutputBelowAFile(String output) throws IOException {
    Path note = Files.writeString(at("note.txt"), "a file");
    assertRefused(
        "Cannot write '"
            + at(output)
            + "': '"
            + note
            + "' is a file, expected a folder; choose another path",
        "attend",
        "--input",
        in,
        "--output",
        at(output));
  }

  @ParameterizedTest
  @ValueSource(strings = {"nosuch://host/out.safetensors", "nosuch://host/out"})
  void anOutputOnAFileSystemThatNobodyKnows(String output) {
    assertRefused(
        "Cannot write '" + output + "': unknown file system; check what stands before '://'",
        "attend",
        "--input",
        in,
        "--output",
        output);
  }

  @Test
  void aReportThatIsAFile() throws IOException {
    Path note = Files.writeString(at("note.txt"), "a file");
    assertOptionRefused(
        "Cannot write --report '" + note + "': it is a file, expected a folder; choose another",
        "--report",
        note);
  }

  @Test
  void aReportBelowAFile() throws IOException {
    Path note = Files.writeString(at("note.txt"), "a file");
    assertOptionRefused(
        "Cannot write '"
            + note.resolve("report")
            + "': '"
            + note
            + "' is a file, expected a folder; choose another path",
        "--report",
        note.resolve("report"));
  }
}

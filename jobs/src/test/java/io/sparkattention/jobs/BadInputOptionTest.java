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
        "--causal-alignment | middle | top-left or bottom-right",
        "--scale | NaN | a number between -1e30 and 1e30",
        "--scale | 1e300 | a number between -1e30 and 1e30",
        "--scale | half | a number between -1e30 and 1e30",
        "--softcap | 0 | a number from 1e-6 to 1048576",
        "--dropout | 1 | a number from 0 to below 1",
        "--seed | x | a whole number of 64 bits",
        "--relative-bias | causal | KIND,MAX_DISTANCE,WEIGHTS: bidirectional or causal, a whole"
            + " number from 1, and [buckets, heads] numbers up to 1048576 (-inf masks) or @FILE of"
            + " them",
        "--exchange | teleport | auto, ring, reduce, barrier, heads or broadcast",
        "--assignment | foo | contiguous, zigzag, striped or balanced",
        "--block-tokens | 0 | a whole number from 1 to 65536",
        "--block-tokens | 65537 | a whole number from 1 to 65536",
        "--shards | 0 | a whole number from 1 to 100000",
        "--shards | abc | a whole number from 1 to 100000",
        "--shards | 99999999999 | a whole number from 1 to 100000",
        "--max-memory | 1T5 | a size such as 512m, 4g or a number of bytes, at least 1m",
        "--num-heads | -4 | a whole number from 1 to 65536",
        "--num-kv-heads | 1.5 | a whole number from 1 to 65536",
        "--kernel | gpu | auto, vector or scalar",
      })
  void aValueThatTheOptionDoesNotTake(String option, String value, String expected) {
    assertOptionRefused(
        "Invalid %s: found '%s', expected %s".formatted(option, value, expected), option, value);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "diagonal; expected FORMS",
        "Causal; expected FORMS",
        "sliding-window:-5; LEFT is '-5', expected a whole number from 0 to 9223372036854775807",
        "sliding-window:4,x; RIGHT is 'x', expected a whole number from 0 to 9223372036854775807",
        "causal & window:3; 'window:3' at 10: expected FORMS",
        "causal&(sinks:1|documents:3,0); 'documents:3,0' at 17: Invalid documents: length 2 is 0"
            + " (expected >= 1, the sum <= 2^60)",
        "(causal; the end of the text at 8, expected &, | or )"
      })
  void aMaskThatNobodyKnows(String mask, String reason) {
    String forms =
        "full, causal, sliding-window:LEFT[,RIGHT], dilated-window:LEFT,STEP[,RIGHT], prefix:N,"
            + " documents:LENGTH,…, global:N, global-positions:POSITION,…, sinks:N,"
            + " block-sparse:SIZE,QUERY-KEY,…, random-blocks:COUNT,SEED[,SIZE[,BLOCKS]],"
            + " bigbird:WINDOW,N,COUNT,SEED[,SIZE[,BLOCKS]], block-top-k:COUNT[,SIZE], streaming:N,WINDOW, masks joined by &"
            + " or |";
    assertOptionRefused(
        "Invalid --mask: found '%s', %s".formatted(mask, reason.replace("FORMS", forms)),
        "--mask",
        mask);
  }

  /** The input has 5 queries and 6 keys. */
  @Test
  void aMaskForLongerSequences() {
    assertOptionRefused(
        "Cannot use mask 'causal & documents:4,2,3': it names what begins at position 6, expected"
            + " positions below 6, where the longest sequence ends; correct its list or BLOCKS",
        "--mask",
        "causal & documents:4,2,3");
  }

  private void assertListRefused(String message, String file) {
    assertOptionRefused(message, "--mask", "causal & documents:@" + file);
    err.getBuffer().setLength(0);
    assertConfRefused(message, "spark.attention.mask", "sinks:1 | documents:@" + file);
  }

  @Test
  void aListOfAMaskThatIsMissing() {
    assertListRefused(
        "Cannot read list '"
            + at("absent.txt")
            + "': no such file, or no right to read it; check the path",
        at("absent.txt").toString());
  }

  @Test
  void aListOfAMaskThatIsAFolder() {
    assertListRefused(
        "Cannot read list '"
            + folder
            + "': found a folder, expected one text file; name the"
            + " file",
        folder.toString());
  }

  @Test
  void aListOfAMaskThatIsNoText() throws IOException {
    Path list = Files.write(at("list"), new byte[] {'3', '\n', (byte) 0xff});
    assertListRefused(
        "Cannot read list '"
            + list
            + "': found malformed UTF-8 at byte 2; expected UTF-8: convert the file",
        list.toString());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '#',
      value = {
        "nosuch://host/list # unknown file system; check what stands before '://'",
        "'' # expected a path such as folder/name or hdfs://host/name"
      })
  void aListOfAMaskThatIsNowhere(String file, String reason) {
    assertListRefused("Cannot read list '%s': %s".formatted(file, reason), file);
  }

  /** The message has one line, whatever the file has. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "3,2 x; LENGTH 3 of @LIST is 'x', expected a whole number from 0 to 9223372036854775807",
        "''; LENGTH 1 of @LIST is '', expected a whole number from 0 to 9223372036854775807",
        "3 0; Invalid documents: length 2 is 0 (expected >= 1, the sum <= 2^60)"
      })
  void aListOfAMaskWithSomethingElseInIt(String content, String reason) throws IOException {
    Path list = Files.writeString(at("list"), content.replace(' ', '\n'));
    String mask = "documents:@" + list;
    assertOptionRefused(
        "Invalid --mask: found '%s', %s".formatted(mask, reason.replace("LIST", list.toString())),
        "--mask",
        mask);
  }

  /** The input has 4 heads. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--alibi | 1 2 3 | found 3 slopes, expected 4, one per query head; give that many, or auto",
        "--sinks | 1 2 3 | found 3 logits, expected 4, one per query head, or a single one; give that"
            + " many",
        "--sinks | 1 x | found 'x' as number 2, expected one number per query head, or one for all,"
            + " from -1048576 to 1048576, or @FILE of such a list",
        "--alibi | 1e7 1 | found '1e7' as number 1, expected auto, or one slope per query head from"
            + " -1048576 to 1048576, or @FILE of such a list",
        "--relative-bias | causal,128,1 2 3 | found 3 weights, expected [buckets, heads] with 4 heads"
            + " and a number of buckets, at least 2; give one row of weights per bucket",
        "--relative-bias | bidirectional,128,1 2 3 4 5 6 | found 6 weights, expected [buckets, heads]"
            + " with 4 heads and an even number of buckets, at least 2; give one row of weights per"
            + " bucket"
      })
  void numbersThatDoNotFit(String option, String value, String reason) {
    assertOptionRefused("Invalid " + option + ": " + reason, option, value);
  }

  @ParameterizedTest
  @CsvSource({"--alibi, ''", "--sinks, ''", "--relative-bias, 'causal,128,'"})
  void aListOfNumbersThatIsMissing(String option, String before) {
    assertOptionRefused(
        "Cannot read list '"
            + at("absent.txt")
            + "': no such file, or no right to read it; check the path",
        option,
        before + "@" + at("absent.txt"));
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
  @CsvSource({"in.safetensors, queries", "in, queries.safetensors"})
  void queriesApartFromTensors(String in, String queries) {
    assertRefused(
        "Cannot use --queries with '%s': found a .safetensors file, expected Parquet datasets as --input and --queries; put the queries into the file's tensor 'query' and leave out --queries"
            .formatted(at(in.endsWith(".safetensors") ? in : queries)),
        "attend",
        "--input",
        at(in),
        "--queries",
        at(queries),
        "--output",
        at("out"));
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

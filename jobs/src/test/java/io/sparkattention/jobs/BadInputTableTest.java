package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Wrong Parquet datasets: what a person reads. */
class BadInputTableTest extends CommandTest {
  private Path in;

  @BeforeEach
  void nameInput() {
    in = at("in");
  }

  /** Sequences 'a' of 4 rows and 'b' of 3. */
  private TableFile valid() {
    return new TableFile(spark).rows("a", 0, 1, 2, 3).rows("b", 2, 0, 1);
  }

  private void assertRefused(String message, TableFile table, String... options) {
    table.write(in);
    assertFolderRefused(message, options);
  }

  /** Two heads, unless the options say otherwise. */
  private void assertFolderRefused(String message, String... options) {
    List<Object> all = new ArrayList<>(List.of("attend", "--input", in, "--output", at("out")));
    if (!List.of(options).contains("--num-heads")) {
      all.addAll(List.of("--num-heads", "2"));
    }
    all.addAll(List.of(options));
    assertRefused(message.replace("IN", in.toString()), all.toArray());
  }

  @ParameterizedTest
  @CsvSource({
    "sequence_id, 'position, query, key, value'",
    "position, 'sequence_id, query, key, value'",
    "query, 'sequence_id, position, key, value'",
    "key, 'sequence_id, position, query, value'",
    "value, 'sequence_id, position, query, key'"
  })
  void aMissingColumn(String column, String found) {
    valid().writeWithout(column, in);
    assertFolderRefused(
        "Missing column '%s' in 'IN': found %s, expected sequence_id, position, query, key, value; add or rename it"
            .formatted(column, found));
  }

  @Test
  void numbersThatAreDoubles() {
    TableFile table =
        new TableFile(spark).rows("a", 0).set(0, "key", new Double[] {1., 2., 3., 4.});
    assertRefused(
        "Invalid column 'key' in 'IN': found type array<double>, expected array<float>; cast it",
        table.type("key array<float>", "key array<double>"));
  }

  @Test
  void aValueThatIsNoArray() {
    assertRefused(
        "Invalid column 'value' in 'IN': found type float, expected array<float>; cast it",
        new TableFile(spark)
            .rows("a", 0)
            .set(0, "value", 1f)
            .type("value array<float>", "value float"));
  }

  @Test
  void positionsThatAreText() {
    assertRefused(
        "Invalid column 'position' in 'IN': found type string, expected bigint or int; cast it",
        new TableFile(spark)
            .rows("a", 0)
            .set(0, "position", "0")
            .type("position bigint", "position string"));
  }

  @Test
  void sequenceIdsThatAreFractions() {
    assertRefused(
        "Invalid column 'sequence_id' in 'IN': found type double, expected string, bigint or int;"
            + " cast it",
        new TableFile(spark).rows(1.5, 0).type("sequence_id string", "sequence_id double"));
  }

  @ParameterizedTest
  @CsvSource({"query, 0", "key, 5", "value, 1"})
  void aNullArray(String column, int row) {
    String where = row < 4 ? "'a', position " + row : "'b', position " + (row - 5);
    assertRefused(
        "Invalid %s in sequence %s: found null, expected 8 floats; correct the row"
            .formatted(column, where),
        valid().set(row, column, null));
  }

  @Test
  void arraysThatAreAllNull() {
    assertRefused(
        "Invalid rows in 'IN': found a null array in each, expected query, key and value",
        new TableFile(spark).rows("a", 0, 1).set(0, "query", null).set(1, "value", null));
  }

  @Test
  void aNullElement() {
    assertRefused(
        "Invalid value in sequence 'a', position 2: found null at index 5, expected 8 floats;"
            + " correct the row",
        valid().set(2, "value", 5, null));
  }

  @Test
  void aRowOfAnotherWidth() {
    assertRefused(
        "Invalid key in sequence 'b', position 2: found 7 floats, expected 8 floats; correct the"
            + " row",
        valid().set(4, "key", new Float[] {1f, 2f, 3f, 4f, 5f, 6f, 7f}));
  }

  @Test
  void aNullPosition() {
    assertRefused(
        "Invalid column 'position' in 'IN': found null in sequence 'b', expected a position in each"
            + " row; number them from 0",
        valid().set(5, "position", null));
  }

  @Test
  void aNullSequenceId() {
    assertRefused(
        "Invalid column 'sequence_id' in 'IN': found null, expected an id in each row; remove such"
            + " rows",
        valid().set(5, "sequence_id", null));
  }

  @Test
  void aPositionTwice() {
    assertRefused(
        "Invalid positions of sequence 'a' in 'IN': found 5 rows at positions 0 to 3, expected each"
            + " of 0 to 4 once; number its rows from 0 without gaps",
        valid().rows("a", 2));
  }

  @Test
  void aPositionTwiceAndOneMissing() {
    assertRefused(
        "Invalid positions of sequence 'a' in 'IN': found 1 twice, expected each position once; number its"
            + " rows without gaps",
        valid().set(2, "position", 1L));
  }

  @Test
  void aMissingPosition() {
    assertRefused(
        "Invalid positions of sequence 'c' in 'IN': found 2 rows at positions 0 to 2, expected each"
            + " of 0 to 1 once; number its rows from 0 without gaps",
        valid().rows("c", 0, 2));
  }

  @Test
  void aNegativePosition() {
    assertRefused(
        "Invalid positions of sequence 'c' in 'IN': found 3 rows at positions -1 to 1, expected each"
            + " of 0 to 2 once; number its rows from 0 without gaps",
        valid().rows("c", 0, -1, 1));
  }

  @Test
  void noRows() {
    assertRefused(
        "Empty dataset: found no rows in 'IN', expected at least one", new TableFile(spark));
  }

  @Test
  void aFolderWithoutParquet() throws IOException {
    Files.createDirectory(in);
    assertFolderRefused(
        "Cannot read 'IN' as a Parquet dataset: found no Parquet files in it, expected at least one;"
            + " check the path");
  }

  @Test
  void anAbsentPath() {
    assertFolderRefused(
        "Cannot read 'IN' as a Parquet dataset: no such file or folder; check the path");
  }

  /** Adds a file with a name of our own and no checksum beside it: Spark reads them by name. */
  private Path part(String name, TableFile table) throws IOException {
    Path written = table.write(at("written-" + name));
    Files.createDirectories(in);
    return Files.move(parquetIn(written), in.resolve(name));
  }

  private static Path parquetIn(Path dataset) throws IOException {
    try (Stream<Path> files = Files.list(dataset)) {
      return files.filter(f -> f.toString().endsWith(".parquet")).findFirst().orElseThrow();
    }
  }

  private void assertDamaged(String file) {
    assertFolderRefused(
        "Cannot read 'IN' as a Parquet dataset: found "
            + file
            + " cut off, damaged or no Parquet; write it again");
  }

  @Test
  void aFileThatIsNoParquet() throws IOException {
    Files.writeString(in, "sequence_id,position,query,key,value\n");
    assertDamaged("'file:IN'");
  }

  @ParameterizedTest
  @ValueSource(strings = {"first", "second"})
  void aFileThatWasCutOff(String name) throws IOException {
    part("first", valid());
    part("second", new TableFile(spark).rows("c", 0, 1, 2));
    Path file = in.resolve(name);
    byte[] all = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(all, all.length - 20));
    assertDamaged("'file:" + file + "'");
  }

  @Test
  void aFileWhoseNumbersAreDamaged() throws IOException {
    Path file = part("first", valid());
    byte[] bytes = Files.readAllBytes(file);
    // Pages of queries and keys with their headers; ids and positions lie before, the footer after.
    Arrays.fill(bytes, bytes.length / 4, bytes.length / 2, (byte) 0xff);
    Files.write(file, bytes);
    // Where Spark does not tell the file.
    assertDamaged("a file in it");
  }

  @Test
  void aFileThatDoesNotMatchItsChecksum() throws IOException {
    Path file = parquetIn(valid().write(in));
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length / 3] ^= 1;
    Files.write(file, bytes);
    assertDamaged("'file:" + file + "'");
  }

  @Test
  void aFileWithAColumnOfAnotherType() throws IOException {
    part("first", valid());
    Path file =
        part(
            "second",
            new TableFile(spark)
                .rows("c", 0)
                .set(0, "value", new Double[] {1., 2., 3., 4., 5., 6., 7., 8.})
                .type("value array<float>", "value array<double>"));
    assertFolderRefused(
        "Cannot read 'IN' as a Parquet dataset: found type double in column 'value' of 'file:"
            + file
            + "', expected float as in its other files; cast it");
  }

  @Test
  void aFileSystemThatNobodyKnows() {
    assertRefused(
        "Cannot read 'nosuch://host/in' as a Parquet dataset: unknown file system; check what stands"
            + " before '://'",
        "attend",
        "--input",
        "nosuch://host/in",
        "--output",
        at("out"),
        "--num-heads",
        "2");
  }

  @Test
  void noNumberOfHeads() {
    valid().write(in);
    assertRefused(
        "Missing --num-heads: rows of '"
            + in
            + "' do not tell how many heads they hold; give --num-heads N",
        "attend",
        "--input",
        in,
        "--output",
        at("out"));
  }

  @Test
  void aWidthThatHeadsDoNotDivide() {
    assertRefused(
        "Invalid column 'query' in 'IN': found arrays of 8 floats, expected a multiple of"
            + " --num-heads 3",
        valid(),
        "--num-heads",
        "3");
  }

  @Test
  void aWidthThatKeyValueHeadsDoNotDivide() {
    assertRefused(
        "Invalid column 'key' in 'IN': found arrays of 8 floats, expected a multiple of"
            + " --num-kv-heads 3",
        valid(),
        "--num-kv-heads",
        "3");
  }

  @Test
  void headSizesThatDiffer() {
    assertRefused(
        "Invalid headDim in 'IN': found 4 for 'query' and 8 for 'key', expected the same; correct"
            + " their widths",
        valid(),
        "--num-kv-heads",
        "1");
  }

  @Test
  void headCountsThatDoNotDivide() {
    Float[] wide = new Float[12];
    Arrays.fill(wide, 1f);
    TableFile table = new TableFile(spark).rows("a", 0).set(0, "key", wide).set(0, "value", wide);
    assertRefused(
        "Invalid heads in 'IN': found 2 for 'query' and 3 for 'key' and 'value', expected a multiple"
            + " of the latter for 'query'; correct --num-heads and --num-kv-heads",
        table,
        "--num-kv-heads",
        "3");
  }

  @ParameterizedTest
  @CsvSource({"query, 1", "key, 1", "value, 0"})
  void aNumberThatIsNotFinite(String column, int head) {
    String expected = column.equals("value") ? "finite and at most 5.671373E37" : "finite";
    assertRefused(
        "Invalid %s in sequence 'b', head %d, position 1: found NaN, expected %s; correct the input"
            .formatted(column, head, expected),
        valid().set(6, column, 4 * head + 3, Float.NaN),
        "--shards",
        "2");
  }

  @Test
  void sequencesOfUnequalLengthForOneTensor() {
    valid().write(in);
    Path out = at("out.safetensors");
    assertRefused(
        "Cannot write '"
            + out
            + "': sequence 'a' has 4 queries and 'b' has 3, but a tensor needs sequences of one"
            + " length; write a Parquet dataset",
        "attend",
        "--input",
        in,
        "--output",
        out,
        "--num-heads",
        "2");
  }

  @Test
  void theSameTableWithoutTheFaultIsTaken() {
    valid().write(in);
    assertThat(run("attend", "--input", in, "--output", at("out"), "--num-heads", 2))
        .as(err.toString())
        .isZero();
  }
}

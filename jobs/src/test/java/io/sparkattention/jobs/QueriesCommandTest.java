package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code attend --queries}: queries from a dataset of their own. */
class QueriesCommandTest extends CommandTest {
  private static final String[] KEYS = {"sequence_id", "position", "key", "value"};
  private static final String[] QUERIES = {"sequence_id", "position", "query"};

  private Path in;
  private Path queries;

  @BeforeEach
  void namePaths() {
    in = at("in");
    queries = at("queries");
  }

  /** Sequences 'a' of 6 rows and 'b' of 3. */
  private TableFile table() {
    return new TableFile(spark).rows("a", 4, 1, 2, 5, 0, 3).rows("b", 2, 0, 1);
  }

  private Object[] attend(Path from, Path to, Object... options) {
    List<Object> all = new ArrayList<>(List.of("attend", "--input", from, "--output", to));
    all.addAll(List.of("--num-heads", 2, "--block-tokens", 4));
    all.addAll(List.of(options));
    return all.toArray();
  }

  private void assertSucceeds(Object... arguments) {
    int status = run(arguments);
    assertThat(err.toString()).isEmpty();
    assertThat(status).isZero();
    assertThat(spark.sparkContext().getPersistentRDDs().size()).isZero();
  }

  private List<Row> rows(Path path, String where) {
    return spark
        .read()
        .parquet(path.toString())
        .where(where)
        .orderBy("sequence_id", "position")
        .collectAsList();
  }

  @ParameterizedTest
  @CsvSource({"ring", "reduce"})
  void theOutputHasTheRowsOfTheQueries(String exchange) throws IOException {
    Path whole = at("whole");
    assertSucceeds(attend(table().write(at("table")), whole, "--mask", "causal"));
    String some = "sequence_id = 'a' and position in (2, 3, 4) or sequence_id = 'b'";
    table().write(in, "true", KEYS);
    table().write(queries, some, QUERIES);
    Path out = at("out");
    assertSucceeds(
        attend(
            in,
            out,
            "--queries",
            queries,
            "--mask",
            "causal",
            "--exchange",
            exchange,
            "--report",
            at("report")));
    assertThat(rows(out, "true")).isEqualTo(rows(whole, some)).hasSize(6);
    JsonNode report = new ObjectMapper().readTree(at("report/report.json").toFile());
    assertThat(report.get("tokens").asLong()).isEqualTo(6);
    assertThat(report.get("exchange").asText()).isEqualTo(exchange);
    assertThat(report.get("unmasked_pairs").asLong()).isEqualTo(3 + 4 + 5 + 1 + 2 + 3);
  }

  /** The scores of the queries at positions 4 and 5 of 6 are the last rows of those of all. */
  @Test
  void tensorsBeginAtTheFirstQuery() throws IOException {
    TableFile one = new TableFile(spark).rows("a", 4, 1, 2, 5, 0, 3);
    Path whole = at("whole.safetensors");
    Path out = at("out.safetensors");
    Object[] scores = {"--scores-output", 0};
    assertSucceeds(attend(one.write(at("table")), whole, scores));
    one.write(in, "true", KEYS);
    one.write(queries, "position > 3", QUERIES);
    assertSucceeds(attend(in, out, "--queries", queries, "--scores-output", 0));
    // The last tensor is [1, 2 heads, queries, 6 keys] of 4 bytes.
    byte[] ofAll = Files.readAllBytes(whole);
    byte[] ofTwo = Files.readAllBytes(out);
    for (int head = 0; head < 2; head++) {
      for (int i = 0; i < 2 * 6 * 4; i++) {
        int expected = ofAll.length - (2 - head) * 6 * 6 * 4 + 4 * 6 * 4 + i;
        int found = ofTwo.length - (2 - head) * 2 * 6 * 4 + i;
        assertThat(ofTwo[found]).isEqualTo(ofAll[expected]);
      }
    }
  }

  @Test
  void idsMayBeIntegersOfTwoWidths() {
    TableFile numbered =
        new TableFile(spark).rows(7, 0, 1).type("sequence_id string", "sequence_id int");
    numbered.write(in, "true", KEYS);
    numbered.write(queries, "true", "cast(sequence_id as bigint) sequence_id", "position", "query");
    Path out = at("out");
    assertSucceeds(attend(in, out, "--queries", queries));
    assertThat(rows(out, "sequence_id = 7")).hasSize(2);
    assertThat(rows(out, "true").get(0).get(0)).isEqualTo(7L);
  }

  private void assertQueriesRefused(String message, Object... options) {
    List<Object> all = new ArrayList<>(List.of("--queries", queries));
    all.addAll(List.of(options));
    assertRefused(
        message.replace("IN", in.toString()).replace("OTHER", queries.toString()),
        attend(in, at("out"), all.toArray()));
  }

  @Test
  void aSequenceWithoutQueries() {
    table().write(in, "true", KEYS);
    table().write(queries, "sequence_id = 'b'", QUERIES);
    assertQueriesRefused(
        "Missing sequence 'a' in 'OTHER': found it in 'IN', expected each sequence in both; add its"
            + " queries or remove it there");
  }

  @Test
  void aSequenceWithoutKeys() {
    table().write(in, "sequence_id = 'a'", KEYS);
    table().write(queries, "true", QUERIES);
    assertQueriesRefused(
        "Missing sequence 'b' in 'IN': found it in 'OTHER', expected each sequence in both; add its"
            + " keys and values or remove it there");
  }

  @ParameterizedTest
  @CsvSource({
    "position <> 3, 5 rows at positions 0 to 5",
    "'position in (1, 3)', 2 rows at positions 1 to 3"
  })
  void gapsBetweenQueries(String left, String found) {
    table().write(in, "sequence_id = 'a'", KEYS);
    table().write(queries, "sequence_id = 'a' and " + left, QUERIES);
    assertQueriesRefused(
        "Invalid positions of sequence 'a' in 'OTHER': found %s, expected each once, between 0 and"
                .formatted(found)
            + " 2^60; number its rows without gaps");
  }

  @ParameterizedTest
  @CsvSource({"-1", "1152921504606846976", "9223372036854775807"})
  void aQueryOutOfRange(long position) {
    new TableFile(spark).rows("a", 0).write(in, "true", KEYS);
    new TableFile(spark).rows("a", position).write(queries, "true", QUERIES);
    assertQueriesRefused(
        "Invalid positions of sequence 'a' in 'OTHER': found 1 rows at positions %d to %d, expected"
                .formatted(position, position)
            + " each once, between 0 and 2^60; number its rows without gaps");
  }

  @Test
  void aQueryTwice() {
    new TableFile(spark).rows("a", 0, 1, 2).write(in, "true", KEYS);
    new TableFile(spark).rows("a", 5, 6, 6, 8).write(queries, "true", QUERIES);
    assertQueriesRefused(
        "Invalid positions of sequence 'a' in 'OTHER': found 6 twice, expected each position once;"
            + " number its rows without gaps");
  }

  @Test
  void keysThatBeginLater() {
    new TableFile(spark).rows("a", 5, 6).write(in, "true", KEYS);
    new TableFile(spark).rows("a", 5, 6).write(queries, "true", QUERIES);
    assertQueriesRefused(
        "Invalid positions of sequence 'a' in 'IN': found 2 rows at positions 5 to 6, expected each"
            + " of 0 to 1 once; number its rows from 0 without gaps");
  }

  @Test
  void columnsThatAreMissing() {
    table().write(in, "true", "sequence_id", "position", "key");
    table().write(queries, "true", QUERIES);
    assertQueriesRefused(
        "Missing column 'value' in 'IN': found sequence_id, position, key, expected sequence_id,"
            + " position, key, value; add or rename it");
  }

  @Test
  void queriesThatAreMissing() {
    table().write(in, "true", KEYS);
    table().write(queries, "true", KEYS);
    assertQueriesRefused(
        "Missing column 'query' in 'OTHER': found sequence_id, position, key, value, expected"
            + " sequence_id, position, query; add or rename it");
  }

  @Test
  void idsOfAnotherKind() {
    new TableFile(spark).rows("7", 0).write(in, "true", KEYS);
    new TableFile(spark)
        .rows("7", 0)
        .write(queries, "true", "cast(sequence_id as int) sequence_id", "position", "query");
    assertQueriesRefused(
        "Invalid column 'sequence_id' in 'OTHER': found type int, expected string as in 'IN'; cast"
            + " it");
  }

  @Test
  void queriesOfAnotherWidth() {
    table().write(in, "true", KEYS);
    table().write(queries, "true", "sequence_id", "position", "slice(query, 1, 4) query");
    assertQueriesRefused(
        "Invalid headDim in 'IN' and 'OTHER': found 2 for 'query' and 4 for 'key', expected the"
            + " same; correct their widths");
  }

  @Test
  void aQueryThatIsNotFinite() {
    table().write(in, "true", KEYS);
    new TableFile(spark)
        .rows("a", 7, 8)
        .rows("b", 0)
        .set(1, "query", 6, Float.NaN)
        .write(queries, "true", QUERIES);
    assertQueriesRefused(
        "Invalid query in sequence 'a', head 1, position 8: found NaN, expected finite; correct the"
            + " input");
  }

  @ParameterizedTest
  @CsvSource({"ring", "reduce"})
  void aKeyThatIsNotFinite(String exchange) {
    TableFile wrong = table().set(4, "key", 6, Float.NaN);
    wrong.write(in, "true", KEYS);
    wrong.write(queries, "true", QUERIES);
    assertQueriesRefused(
        "Invalid key in sequence 'a', head 1, position 0: found NaN, expected finite; correct the"
            + " input",
        "--exchange",
        exchange);
  }

  @ParameterizedTest
  @CsvSource({"ring", "reduce"})
  void aNullAmongValues(String exchange) {
    TableFile wrong = table().set(6, "value", 3, null);
    wrong.write(in, "true", KEYS);
    wrong.write(queries, "true", QUERIES);
    assertQueriesRefused(
        "Invalid value in sequence 'b', position 2: found null at index 3, expected 8 floats;"
            + " correct the row",
        "--exchange",
        exchange);
  }

  @Test
  void noDatasetOfQueries() {
    table().write(in, "true", KEYS);
    assertQueriesRefused(
        "Cannot read 'OTHER' as a Parquet dataset: no such file or folder; check the path");
  }

  @Test
  void anAlignmentThatPositionsContradict() {
    table().write(in, "sequence_id = 'a'", KEYS);
    table().write(queries, "sequence_id = 'a' and position < 2", QUERIES);
    assertQueriesRefused(
        "Cannot align the queries of sequence 'a' in 'OTHER' bottom-right: found positions from 0"
            + " on, expected them from 4 on, since tables compare positions directly; number them"
            + " so or leave out --causal-alignment",
        "--causal-alignment",
        "bottom-right");
  }
}

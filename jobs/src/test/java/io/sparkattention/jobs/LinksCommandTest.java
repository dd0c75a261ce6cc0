package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

/** {@code links} with the model that the build unpacks. */
class LinksCommandTest extends CommandTest {
  private static final String SENTENCE = "The animal didn't cross the street because it was tired.";

  @Test
  void linksTheTokensOfASentence() throws IOException {
    Path output = at("links");
    int status =
        run(
            "links",
            "--text",
            SENTENCE,
            "--from",
            "it",
            "--to",
            "animal",
            "--rival",
            "street",
            "--top-k",
            3,
            "--output",
            output);
    assertThat(err.toString()).isEmpty();
    assertThat(status).isZero();
    assertThat(out.toString())
        .contains("1. layer 3, head  1: weight 0.695 (\"street\": 0.043)")
        .contains("not a coreference resolver");
    assertThat(output.resolve("links.html")).content().contains("id=\"layer-5-head-11\"");

    int tokens = 15;
    List<String> lines = Files.readAllLines(output.resolve("links.csv"));
    assertThat(lines).hasSize(1 + 72 * tokens * 3);
    assertThat(lines.get(0))
        .isEqualTo("layer,head,from_position,from_token,to_position,to_token,weight");
    List<Row> rows =
        spark
            .read()
            .parquet(output.resolve("links").toString())
            .orderBy("layer", "head", "from_position", "weight")
            .collectAsList();
    assertThat(rows).hasSize(72 * tokens * 3);
    assertThat(rows.stream().map(row -> row.mkString(",")))
        .containsExactlyInAnyOrderElementsOf(
            lines.subList(1, lines.size()).stream().map(line -> line.replace("\"", "")).toList());
    assertThat(Files.readAllLines(output.resolve("heads.csv")))
        .hasSize(73)
        .element(1)
        .asString()
        .startsWith("1,3,1,0.69");
  }

  @Test
  void refusesWhatItCannotLink() throws IOException {
    Path output = at("links");
    assertRefused(
        "Cannot find the word \"cat\" in the text: found it 0 times, expected at least 1; give a word of the text",
        "links",
        "--text",
        SENTENCE,
        "--from",
        "it",
        "--to",
        "cat",
        "--rival",
        "street",
        "--output",
        output);
    err.getBuffer().setLength(0);
    assertRefused(
        "Invalid --top-k: found '0', expected a whole number from 1",
        "links",
        "--text",
        SENTENCE,
        "--top-k",
        0,
        "--output",
        output);
    err.getBuffer().setLength(0);
    assertRefused(
        "Cannot link tokens: found no text, expected at least one word",
        "links",
        "--text",
        " ",
        "--output",
        output);
    err.getBuffer().setLength(0);
    Path file = Files.writeString(at("long.txt"), "word ".repeat(600));
    assertRefused(
        "Cannot link the tokens of all layers: found 602 tokens, expected at most the model's 512 positions; shorten the text",
        "links",
        "--input",
        file,
        "--output",
        output);
  }
}

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
  void gathersWhatHeadsLookAtOverAFolder() throws IOException {
    Path corpus = Files.createDirectory(at("corpus"));
    Files.writeString(corpus.resolve("a.txt"), SENTENCE + "\n\nDog bites man\n");
    Files.writeString(corpus.resolve("b.txt"), "She poured water into the glass.");
    Path output = at("statistics");
    int status = run("links", "--statistics", "--input", corpus, "--output", output);
    assertThat(err.toString()).isEmpty();
    assertThat(status).isZero();
    assertThat(out.toString().strip())
        .isEqualTo("%s: 72 heads over 23 tokens of 3 passages".formatted(output));
    List<String> lines = Files.readAllLines(output.resolve("statistics.csv"));
    assertThat(lines.get(0))
        .isEqualTo(
            "layer,head,previous,next,same_word,separators,itself,mean_distance,mean_entropy");
    assertThat(spark.read().parquet(output.resolve("statistics").toString()).collectAsList())
        .extracting(row -> row.mkString(","))
        .containsExactlyInAnyOrderElementsOf(lines.subList(1, 73));
    assertThat(output.resolve("statistics.html")).content().contains("23 attending tokens");
    out.getBuffer().setLength(0);

    Files.writeString(corpus.resolve("c.txt"), "fine\n" + "word ".repeat(600));
    assertRefused(
        "Cannot encode line 2 of '%s': found 602 tokens, expected at most the model's 512 positions; split the passage"
            .formatted(corpus.resolve("c.txt").toUri().toString().replace("file:///", "file:/")),
        "links",
        "--statistics",
        "--input",
        corpus,
        "--output",
        at("other"));
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
        "Cannot link the tokens of all layers: found 602 tokens, expected at most the model's 512 positions; shorten the text, or give --first-layer",
        "links",
        "--input",
        file,
        "--output",
        output);
    err.getBuffer().setLength(0);
    assertRefused(
        "Cannot combine --first-layer with --from: found both, expected one of them; leave out the other",
        "links",
        "--input",
        file,
        "--first-layer",
        "--from",
        "a",
        "--to",
        "b",
        "--rival",
        "c",
        "--output",
        output);
    err.getBuffer().setLength(0);
    assertRefused(
        "Cannot embed 602 tokens: the model has 512 positions; shorten the text, or give --positions wrap to use them again from the first one",
        "links",
        "--input",
        file,
        "--first-layer",
        "--output",
        output);
    err.getBuffer().setLength(0);
    assertRefused(
        "Cannot read input '%s': no such file, or no right to read it; check the path"
            .formatted(at("absent")),
        "links",
        "--input",
        at("absent"),
        "--statistics",
        "--output",
        output);
  }

  @Test
  void linksTheFirstLayerOfALongText() throws IOException {
    Path file = Files.writeString(at("long.txt"), "word after word ".repeat(200));
    Path output = at("links");
    int status =
        run(
            "links",
            "--input",
            file,
            "--first-layer",
            "--positions",
            "wrap",
            "--top-k",
            2,
            "--output",
            output);
    assertThat(err.toString()).isEmpty();
    assertThat(status).isZero();
    assertThat(spark.read().parquet(output.resolve("links").toString()).count())
        .isEqualTo(602 * 12 * 2);
  }
}

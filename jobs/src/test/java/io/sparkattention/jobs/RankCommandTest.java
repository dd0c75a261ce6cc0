package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

class RankCommandTest extends CommandTest {
  @Test
  void findsTheDocumentationOfMethodsByTheirNames() throws IOException {
    int count = ScaladocQuestions.write(BundledFiles.longText(), folder);
    assertThat(count).isGreaterThanOrEqualTo(100);

    int status =
        run(
            "rank",
            "--questions",
            at("questions.tsv"),
            "--passages",
            at("passages.tsv"),
            "--output",
            at("ranked"));

    assertThat(err.toString()).isEmpty();
    assertThat(status).isZero();
    System.out.println(out);
    Dataset<Row> ranked = spark.read().parquet(at("ranked").toString());
    assertThat(ranked.count()).isEqualTo((long) count * count);
    Dataset<Row> right = ranked.where("passage_id = right_passage_id");
    // By chance 10 of some hundred would be.
    assertThat(right.where("cosine_rank <= 10").count()).isGreaterThan(count / 2);
    List<Row> sums =
        ranked
            .groupBy("question")
            .sum("attention_mass")
            .select("sum(attention_mass)")
            .collectAsList();
    assertThat(sums).allSatisfy(sum -> assertThat(sum.getDouble(0)).isBetween(0.9999, 1.0001));
  }

  @Test
  void readsATableAndPrintsTheBestOfEachQuestion() throws IOException {
    Files.writeString(at("questions.txt"), "Where does the cat sleep?\n\nWhat did the bank do?\n");
    spark
        .sql(
            "select 7 passage_id, 'The cat sleeps on the sofa.' text"
                + " union all select 9, 'The central bank raised interest rates.'")
        .write()
        .parquet(at("passages").toString());

    int status =
        run(
            "rank",
            "--questions",
            at("questions.txt"),
            "--passages",
            at("passages"),
            "--output",
            at("ranked"));

    assertThat(err.toString()).isEmpty();
    assertThat(status).isZero();
    assertThat(out.toString().lines().toList().get(1)).isEqualTo("Where does the cat sleep?");
    assertThat(out.toString().lines().toList().get(2)).startsWith("  7: attention mass 0.");
  }

  @Test
  void refusesWrongFiles() throws IOException {
    Files.writeString(at("q.txt"), "What?\n");
    Files.writeString(at("p.tsv"), "a\ttext\nno tab\n");
    assertRefused(
        "Cannot read passages '%s': found the line 'no tab' without a tab, expected an id, a tab and a text"
            .formatted(at("p.tsv")),
        "rank",
        "--questions",
        at("q.txt"),
        "--passages",
        at("p.tsv"),
        "--output",
        at("out"));
    err.getBuffer().setLength(0);
    assertRefused(
        "Cannot read passages '%s': no such file; name a Parquet dataset or a UTF-8 file"
            .formatted(at("none")),
        "rank",
        "--questions",
        at("q.txt"),
        "--passages",
        at("none"),
        "--output",
        at("out"));
    err.getBuffer().setLength(0);
    spark.range(1).write().parquet(at("t").toString());
    assertRefused(
        "Cannot read passages '%s': found the columns [id], expected passage_id and text"
            .formatted(at("t")),
        "rank",
        "--questions",
        at("q.txt"),
        "--passages",
        at("t"),
        "--output",
        at("out"));
  }
}

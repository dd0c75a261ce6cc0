package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.driver.io.SafetensorsFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

/** {@code encode} with the bundled model. */
class EncodeCommandTest extends CommandTest {
  private static final String MODEL = BundledFiles.DEFAULT_MODEL;

  private Path texts() throws IOException {
    Path texts = Files.createDirectories(folder.resolve("texts"));
    Files.writeString(texts.resolve("a.txt"), "The animal didn't cross the street.");
    Files.writeString(texts.resolve("b.txt"), "tired animals ".repeat(120));
    return texts;
  }

  private int encode(Path input, Path output, Object... more) {
    Object[] all = new Object[7 + more.length];
    System.arraycopy(
        new Object[] {"encode", "--model", MODEL, "--input", input, "--output", output},
        0,
        all,
        0,
        7);
    System.arraycopy(more, 0, all, 7, more.length);
    return run(all);
  }

  private List<Row> rows(Path dataset, String... order) {
    return spark.read().parquet(dataset.toString()).sort("document", order).collectAsList();
  }

  @Test
  void tokensOfAFolderAndTheirMean() throws IOException {
    Path tokens = folder.resolve("tokens");
    Path pooled = folder.resolve("pooled");
    // a.txt is encoded by one task, b.txt, of several blocks, on the cluster.
    assertThat(encode(texts(), tokens, "--block-tokens", 64)).as(err.toString()).isZero();
    assertThat(encode(texts(), pooled, "--block-tokens", 64, "--pooling", "mean", "--normalize"))
        .as(err.toString())
        .isZero();
    List<Row> each = rows(tokens, "position");
    assertThat(each.get(0).getString(3)).isEqualTo("[CLS]");
    assertThat(each.get(0).getInt(2)).isEqualTo(101);
    assertThat(each.get(2).getString(3)).isEqualTo("animal");
    for (Row document : rows(pooled)) {
      List<Row> own =
          each.stream().filter(row -> row.getString(0).equals(document.getString(0))).toList();
      assertThat(document.getLong(1)).isEqualTo(own.size());
      for (int position = 0; position < own.size(); position++) {
        assertThat(own.get(position).getLong(1)).isEqualTo(position);
      }
      assertIsUnitMean(document.getList(2), own);
    }
    assertThat(spark.sparkContext().getPersistentRDDs().size()).isZero();
  }

  private static void assertIsUnitMean(List<Float> embedding, List<Row> tokens) {
    double[] sum = new double[embedding.size()];
    for (Row token : tokens) {
      List<Float> state = token.getList(4);
      for (int i = 0; i < sum.length; i++) {
        sum[i] += state.get(i);
      }
    }
    double squares = 0;
    for (double one : sum) {
      squares += one * one;
    }
    for (int i = 0; i < sum.length; i++) {
      // Two roundings to float32 of numbers below one.
      assertThat(embedding.get(i).doubleValue())
          .isCloseTo(sum[i] / Math.sqrt(squares), within(1.2e-7));
    }
  }

  @Test
  void oneDocumentAsTensors() throws IOException {
    Path whole = folder.resolve("whole.safetensors");
    Path split = folder.resolve("split.safetensors");
    Path text = texts().resolve("b.txt");
    assertThat(encode(text, whole)).as(err.toString()).isZero();
    assertThat(encode(text, split, "--block-tokens", 64)).as(err.toString()).isZero();
    Configuration hadoop = spark.sparkContext().hadoopConfiguration();
    for (Path file : List.of(whole, split)) {
      SafetensorsFile tensors =
          SafetensorsFile.open(new org.apache.hadoop.fs.Path(file.toUri()), hadoop);
      assertThat(tensors.tensors().get("token_ids").shape()).containsExactly(242L);
      assertThat(tensors.tensors().get("last_hidden_state").shape()).containsExactly(242L, 384L);
    }
    out.getBuffer().setLength(0);
    assertRefused(
        "Cannot write '%s': it exists, expected no such file; choose another output or give --overwrite"
            .formatted(whole),
        "encode",
        "--model",
        MODEL,
        "--input",
        text,
        "--output",
        whole);
  }

  @Test
  void whatIsTooLongIsRefusedOrEncodedInWindows() throws IOException {
    Path text = folder.resolve("long.txt");
    Files.writeString(text, "tired animals ".repeat(300));
    Path output = folder.resolve("windows");
    assertThat(encode(text, output)).isEqualTo(2);
    assertThat(err.toString())
        .contains("Cannot encode 'long.txt': found 602 tokens, expected at most the model's 512");
    assertThat(output).doesNotExist();
    assertThat(encode(text, output, "--overflow", "window")).isZero();
    assertThat(rows(output, "position")).hasSize(602);
  }
}

package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparkattention.driver.io.DataType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code attend} from file to file. */
class AttendCommandTest extends CommandTest {
  private void assertSucceeds(Object... arguments) {
    int status = run(arguments);
    assertThat(err.toString()).isEmpty();
    assertThat(status).isZero();
    assertThat(spark.sparkContext().getPersistentRDDs().size()).isZero();
  }

  /** 2 sequences, 4 heads over 2 key/value heads of 64, 1000 queries over 1100 keys. */
  private Path tensors() {
    return new TensorFile()
        .with("query", DataType.F32, 2, 4, 1000, 64)
        .with("key", DataType.F32, 2, 2, 1100, 64)
        .with("value", DataType.F32, 2, 2, 1100, 32)
        .write(at("in.safetensors"));
  }

  @ParameterizedTest
  @CsvSource({"auto, ring", "ring, ring", "reduce, reduce"})
  void theReportTellsWhatWasDoneAndHowFast(String asked, String used) throws IOException {
    Path out = at("out.safetensors");
    assertSucceeds(
        "attend",
        "--input",
        tensors(),
        "--output",
        out,
        "--exchange",
        asked,
        "--mask",
        "causal",
        "--assignment",
        "balanced",
        "--shards",
        3,
        "--block-tokens",
        128,
        "--report",
        at("deep/report"));
    assertThat(out).isRegularFile();
    assertThat(this.out.toString()).startsWith(out + ": 2,000 tokens, ").contains(" GFLOP/s");

    JsonNode report = new ObjectMapper().readTree(at("deep/report/report.json").toFile());
    assertThat(report.get("tokens").asLong()).isEqualTo(2000);
    assertThat(report.get("heads").asInt()).isEqualTo(4);
    assertThat(report.get("head_dim").asInt()).isEqualTo(64);
    assertThat(report.get("exchange").asText()).isEqualTo(used);
    assertThat(report.get("assignment").asText()).isEqualTo("balanced");
    assertThat(report.get("shards").asInt()).isEqualTo(3);
    assertThat(report.get("block_tokens").asInt()).isEqualTo(128);
    assertThat(report.get("mask").asText()).isEqualTo("causal");
    // 8 query and 9 key blocks of each sequence: the diagonal is partial, all before it full.
    assertThat(report.get("unmasked_pairs").asLong()).isEqualTo(2 * 500_500);
    assertThat(report.get("blocks_empty").asLong()).isEqualTo(2 * (72 - 28 - 8));
    assertThat(report.get("blocks_full").asLong()).isEqualTo(2 * 28);
    assertThat(report.get("blocks_partial").asLong()).isEqualTo(2 * 8);
    double flops = report.get("flops").asDouble();
    // Under a causal mask from the top left query i sees i + 1 keys.
    assertThat(flops).isEqualTo(2 * (2 * 500_500.0) * (64 + 32) * 4);
    assertThat(report.get("predicted_seconds").asDouble()).isPositive();
    double seconds = report.get("attention_seconds").asDouble();
    assertThat(seconds).isBetween(0.001, 60.0);
    double gflops = report.get("gflops").asDouble();
    assertThat(gflops).isEqualTo(flops / seconds / 1e9);
    // Of three shards two run at once.
    assertThat(report.get("cores").asInt()).isEqualTo(2);
    double peak = report.get("peak_gflops_per_core").asDouble();
    assertThat(peak).isBetween(1.0, 1000.0);
    double efficiency = report.get("efficiency").asDouble();
    assertThat(efficiency).isPositive().isLessThan(1.2).isEqualTo(gflops / (2 * peak));
    assertThat(report.get("bytes_moved").isIntegralNumber()).isTrue();
    assertThat(report.get("bytes_moved").asLong()).isZero();
    assertThat(report.get("skew_max_over_mean").asDouble()).isBetween(1.0, 1.5);
    assertThat(report.get("peak_heap_bytes").asLong()).isBetween(1L << 20, 2L << 30);
    assertThat(report.get("key_value_type").asText()).isEqualTo("f32");
    assertThat(report.get("kernel").asText()).startsWith("vector");
  }

  @Test
  void settingsOfTheConfigurationGiveWayToOptions() throws IOException {
    var conf = spark.sparkContext().conf();
    conf.set("spark.attention.blockTokens", "500").set("spark.attention.shards", "5");
    try {
      assertSucceeds(
          "attend",
          "--input",
          tensors(),
          "--output",
          at("out"),
          "--shards",
          2,
          "--kernel",
          "scalar",
          "--key-value-type",
          "f16",
          "--assignment",
          "striped",
          "--report",
          at("report"));
    } finally {
      conf.remove("spark.attention.blockTokens").remove("spark.attention.shards");
    }
    JsonNode report = new ObjectMapper().readTree(at("report/report.json").toFile());
    assertThat(report.get("block_tokens").asInt()).isEqualTo(500);
    assertThat(report.get("shards").asInt()).isEqualTo(2);
    assertThat(report.get("key_value_type").asText()).isEqualTo("f16");
    assertThat(report.get("kernel").asText()).isEqualTo("scalar");
    assertThat(report.get("assignment").asText()).isEqualTo("striped");
  }

  /**
   * 6 queries and 6 keys in blocks of 2; of documents of 2, 1 and 3 tokens, causally, 3 + 1 + 6
   * pairs, in the blocks of the diagonal and the one below the last.
   */
  @ParameterizedTest
  @CsvSource({"relative", "absolute", "uri", "conf"})
  void aListOfAMaskComesFromAFile(String how) throws IOException {
    Path in =
        new TensorFile()
            .with("query", DataType.F32, 1, 1, 6, 8)
            .with("key", DataType.F32, 1, 1, 6, 8)
            .with("value", DataType.F32, 1, 1, 6, 8)
            .write(at("in.safetensors"));
    Path list = Files.writeString(at("a list.txt"), "2\n1, 3\n");
    Path written = at("written.safetensors");
    attendMasked(in, written, "--mask", "documents:2,1,3&causal");
    Path out = at("out.safetensors");
    String file =
        switch (how) {
          case "relative" -> Path.of("").toAbsolutePath().relativize(list).toString();
          case "uri" -> "file://" + list;
          default -> list.toString();
        };
    String mask = " documents:@" + file + " & causal";
    if (how.equals("conf")) {
      spark.sparkContext().conf().set("spark.attention.mask", mask);
      try {
        attendMasked(in, out);
      } finally {
        spark.sparkContext().conf().remove("spark.attention.mask");
      }
    } else {
      attendMasked(in, out, "--mask", mask);
    }
    assertThat(out).hasSameBinaryContentAs(written);
    JsonNode report = new ObjectMapper().readTree(at("report/report.json").toFile());
    assertThat(report.get("mask").asText()).isEqualTo("documents:2,1,3 & causal");
    assertThat(report.get("unmasked_pairs").asLong()).isEqualTo(10);
    assertThat(report.get("blocks_empty").asLong()).isEqualTo(5);
    assertThat(report.get("blocks_full").asLong()).isZero();
    assertThat(report.get("blocks_partial").asLong()).isEqualTo(4);
    assertThat(report.get("flops").asDouble()).isEqualTo(2 * 10 * 16);
  }

  private void attendMasked(Path in, Path out, Object... mask) {
    List<Object> arguments =
        new ArrayList<>(
            List.of("attend", "--input", in, "--output", out, "--block-tokens", 2, "--shards", 2));
    arguments.addAll(List.of("--report", at("report")));
    arguments.addAll(List.of(mask));
    assertSucceeds(arguments.toArray());
  }

  /** All of them at once; files in place of their lists give the same bits. */
  @ParameterizedTest
  @CsvSource({"ring", "reduce"})
  void scoreFunctionsMeetOnTheirWayFromTheOptions(String exchange) throws IOException {
    Path in =
        new TensorFile()
            .with("query", DataType.F32, 1, 2, 3, 8)
            .with("key", DataType.F32, 1, 2, 3, 8)
            .with("value", DataType.F32, 1, 2, 3, 8)
            .write(at("in.safetensors"));
    Path weights = Files.writeString(at("weights.txt"), "0 0\n-1 -2\n");
    Path inline = at("inline.safetensors");
    Path out = at("out.safetensors");
    attendMasked(in, inline, scoreOptions(exchange, "0 0 -1 -2", "0.5,0.25", "3,-3"));
    JsonNode report = new ObjectMapper().readTree(at("report/report.json").toFile());
    assertThat(report.get("scores").asText())
        .isEqualTo(
            "softcap 20.0, alibi 0.5,0.25, relative bias causal,8,4 weights, sinks 3.0,-3.0,"
                + " dropout 0.5 with seed 9");
    Path slopes = Files.writeString(at("slopes.txt"), "0.5\n0.25\n");
    Path sinks = Files.writeString(at("sinks.txt"), "3\n-3");
    attendMasked(in, out, scoreOptions(exchange, "@" + weights, "@" + slopes, "@" + sinks));
    assertThat(out).hasSameBinaryContentAs(inline);
    Path plain = at("plain.safetensors");
    attendMasked(in, plain, "--exchange", exchange);
    assertThat(Files.readAllBytes(plain)).isNotEqualTo(Files.readAllBytes(out));
    report = new ObjectMapper().readTree(at("report/report.json").toFile());
    assertThat(report.get("scores").asText()).isEmpty();
  }

  private static Object[] scoreOptions(
      String exchange, String weights, String slopes, String sinks) {
    return new Object[] {
      "--exchange",
      exchange,
      "--softcap",
      20,
      "--relative-bias",
      "causal,8," + weights,
      "--alibi",
      slopes,
      "--sinks",
      sinks,
      "--dropout",
      0.5,
      "--seed",
      9
    };
  }

  @Test
  void helpNamesMasksAndScoreFunctions() {
    assertSucceeds("attend", "--help");
    String words = out.toString().replaceAll("\\s+", " ");
    assertThat(words)
        .contains("dilated-window:LEFT,STEP[,RIGHT]", "@FILE")
        .contains("a bidirectional model needs BLOCKS")
        .contains("--softcap=X", "--alibi=SLOPES", "--relative-bias=KIND,MAX,WEIGHTS")
        .contains("--sinks=LOGITS", "--dropout=P", "--seed=");
  }

  @Test
  void aDryRunPrintsThePlanAndWritesNothing() {
    Path in = tensors();
    assertSucceeds(
        "attend",
        "--input",
        in,
        "--output",
        at("out"),
        "--dry-run",
        "--mask",
        "sliding-window:9",
        "--shards",
        3,
        "--report",
        at("report"));
    assertThat(out.toString().lines())
        .contains(
            "sequences    2, 2,000 queries × 2,200 keys",
            "heads        4 over 2 key/value heads, headDim 64, valueDim 32",
            "blocks       2 query and 2 key blocks of 2048 tokens",
            "block pairs  0 full, 2 partial, 0 empty")
        .anyMatch(line -> line.startsWith("mask         sliding-window:9"))
        .anyMatch(line -> line.startsWith("exchange     ring (fastest that fits, predicted "))
        .anyMatch(line -> line.startsWith("shards       3, balanced, skew 1.500, "));
    assertThat(folder).isDirectoryNotContaining(path -> !path.equals(in));
  }

  @Test
  void anOutputFileIsReplacedWhereThatIsAskedFor() throws IOException {
    Path in = TensorFile.valid().write(at("in.safetensors"));
    Path first = at("first.safetensors");
    Path second = Files.writeString(at("second.safetensors"), "old");
    assertSucceeds("attend", "--input", in, "--output", first);
    assertSucceeds("attend", "--input", in, "--output", second, "--overwrite");
    assertThat(second).hasSameBinaryContentAs(first);
    assertOnlyIn(folder, in, first, second);
  }

  @Test
  void anOutputFolderIsReplacedWhereThatIsAskedFor() throws IOException {
    Path in = new TableFile(spark).rows("a", 2, 0, 1).rows("b", 0).write(at("in"));
    Path out = Files.createDirectory(at("out"));
    Files.writeString(out.resolve("part"), "old");
    assertSucceeds("attend", "--input", in, "--output", out, "--num-heads", 2, "--overwrite");
    assertThat(out.resolve("part")).doesNotExist();
    assertOnlyIn(folder, in, out);
    Stream<String> rows =
        spark
            .read()
            .parquet(out.toString())
            .orderBy("sequence_id", "position")
            .collectAsList()
            .stream()
            .map(AttendCommandTest::shape);
    assertThat(rows).containsExactly("a 0 8 2", "a 1 8 2", "a 2 8 2", "b 0 8 2");
  }

  private static String shape(Row row) {
    return row.get(0)
        + " "
        + row.get(1)
        + " "
        + row.getList(2).size()
        + " "
        + row.getList(3).size();
  }

  private static void assertOnlyIn(Path folder, Path... paths) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files.filter(path -> !path.toString().endsWith(".crc")))
          .containsExactlyInAnyOrder(paths);
    }
  }
}

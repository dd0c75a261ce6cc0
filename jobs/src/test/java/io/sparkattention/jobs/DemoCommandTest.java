package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** The commands that a newcomer runs first, in process, with the model that the build unpacks. */
class DemoCommandTest {
  private static SparkSession spark;

  @TempDir Path folder;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @BeforeAll
  static void start() {
    spark =
        SparkSession.builder()
            .master("local[2]")
            .config("spark.ui.enabled", false)
            .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
            .config("spark.kryo.registrationRequired", true)
            .config("spark.kryo.registrator", "io.sparkattention.driver.AttentionKryoRegistrator")
            .getOrCreate();
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private int run(String... arguments) {
    CommandLine root = Main.commandLine();
    root.setOut(new PrintWriter(out, true));
    root.setErr(new PrintWriter(err, true));
    return Main.run(root, arguments);
  }

  @Test
  void demoLinksWordsAndAttendsALongText() throws IOException {
    Path output = folder.resolve("demo");
    assertThat(run("demo", "--output", output.toString())).as(err.toString()).isZero();

    Matcher first =
        Pattern.compile("1\\. layer 3, head  1: weight (0\\.\\d+)").matcher(out.toString());
    assertThat(first.find()).as(out.toString()).isTrue();
    // ONNX Runtime's probability in the same model: 0.695.
    assertThat(Double.parseDouble(first.group(1))).isBetween(0.694, 0.696);
    assertThat(output.resolve("links.html")).content().contains("animal").contains("street");

    JsonNode report = new ObjectMapper().readTree(output.resolve("report.json").toFile());
    long tokens = report.get("tokens").asLong();
    assertThat(tokens).isGreaterThan(30_000);
    assertThat(report.get("flops").asDouble()).isEqualTo(2.0 * tokens * tokens * 64 * 12);
    assertThat(spark.read().parquet(output.resolve("attention").toString()).count())
        .isEqualTo(tokens);
  }

  @Test
  void projectRefusesMoreTokensThanPositions() throws IOException {
    Path text = Files.writeString(folder.resolve("long.txt"), "word ".repeat(600));
    Path output = folder.resolve("qkv");
    assertThat(run("project", "--text", text.toString(), "--output", output.toString()))
        .isEqualTo(2);
    assertThat(err.toString())
        .isEqualToIgnoringNewLines(
            "error: Cannot embed 602 tokens: the model has 512 positions; shorten the text, or give"
                + " --positions wrap to use them again from the first one");
    assertThat(output).doesNotExist();
  }

  @Test
  void projectNamesAFolderThatIsNoModel() throws IOException {
    Path text = Files.writeString(folder.resolve("short.txt"), "words");
    String output = folder.resolve("qkv").toString();
    String model = folder.resolve("no-model").toString();
    assertThat(run("project", "--text", text.toString(), "--output", output, "--model", model))
        .isEqualTo(2);
    assertThat(err.toString()).startsWith("error: Cannot read model folder").contains(model);
  }
}

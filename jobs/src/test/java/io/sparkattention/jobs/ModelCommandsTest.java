package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** {@code generate} and {@code translate} with small trained models and their golden outputs. */
class ModelCommandsTest extends CommandTest {
  private static final Path MODELS = Path.of(System.getProperty("attention.shared"), "models");
  private static final Path STORIES = MODELS.resolve("stories260K");
  private static final Path NAMES = MODELS.resolve("aren-transliteration");

  @BeforeEach
  void modelsAreThere() {
    assumeTrue(
        Files.isDirectory(MODELS),
        () -> "no folder '%s': name its parent with -Dattention.shared".formatted(MODELS));
  }

  private static JsonNode json(Path file) throws IOException {
    return new ObjectMapper().readTree(file.toFile());
  }

  @Test
  void generatesTheGoldenTokensAndText() throws IOException {
    JsonNode golden = json(STORIES.resolve("golden.json"));
    Path out = folder.resolve("story.json");
    int count = golden.path("greedy_tokens").size() - 1;
    int status =
        run(
            "generate",
            "--model",
            STORIES,
            "--prompt-tokens",
            1,
            "--max-tokens",
            count,
            "--output",
            out);
    assertThat(err.toString()).isEmpty();
    assertThat(status).isZero();
    assertThat(json(out).path("tokens")).isEqualTo(golden.path("greedy_tokens"));
    assertThat(json(out).path("text")).isEqualTo(golden.path("text"));
    assertThat(out().strip()).isEqualTo(golden.path("text").textValue());
    assertRefused(
        "Cannot write '%s': it exists already; give another path or --overwrite".formatted(out),
        "generate",
        "--model",
        STORIES,
        "--prompt",
        "Once",
        "--max-tokens",
        1,
        "--output",
        out);
  }

  /** What was printed since the last call. */
  private String out() {
    String text = out.toString();
    out.getBuffer().setLength(0);
    return text;
  }

  @Test
  void aSeedRepeatsWhatIsDrawn() {
    String first = drawn(7);
    assertThat(first).startsWith("Lily").isEqualTo(drawn(7)).isNotEqualTo(drawn(8));
  }

  private String drawn(long seed) {
    int status =
        run(
            "generate",
            "--model",
            STORIES,
            "--prompt",
            "Lily",
            "--max-tokens",
            20,
            "--temperature",
            1,
            "--top-k",
            50,
            "--top-p",
            0.95,
            "--seed",
            seed);
    assertThat(err.toString()).isEmpty();
    assertThat(status).isZero();
    return out();
  }

  @Test
  void refusesWhatIsNoModelNoTokenNoSampling() {
    assertRefused(
        "Cannot read model folder %s: no config.json found; put the model's config.json there"
            .formatted(folder),
        "generate",
        "--model",
        folder,
        "--prompt",
        "a",
        "--max-tokens",
        1);
    err.getBuffer().setLength(0);
    assertRefused(
        "Invalid architectures in '%s': found M2M100ForConditionalGeneration, expected LlamaForCausalLM; give a model of that family"
            .formatted(NAMES.resolve("config.json")),
        "generate",
        "--model",
        NAMES,
        "--prompt",
        "a",
        "--max-tokens",
        1);
    err.getBuffer().setLength(0);
    assertRefused(
        "Invalid token: found id 512, expected 0 to 511 of the model's vocabulary",
        "generate",
        "--model",
        STORIES,
        "--prompt-tokens",
        "1,512",
        "--max-tokens",
        1);
    err.getBuffer().setLength(0);
    assertRefused(
        "Invalid --top-p: found '1.5', expected a number above 0, at most 1",
        "generate",
        "--model",
        STORIES,
        "--prompt",
        "a",
        "--max-tokens",
        1,
        "--top-p",
        1.5);
  }

  @Test
  void translatesAndScores() throws IOException {
    JsonNode golden = json(NAMES.resolve("golden.json"));
    StringBuilder sources = new StringBuilder();
    StringBuilder targets = new StringBuilder();
    for (JsonNode name : golden) {
      name.path("source").forEach(token -> sources.append(token.textValue()).append(' '));
      sources.append('\n');
      targets.append(String.join(" ", name.path("target").textValue().split(""))).append('\n');
    }
    Path source = Files.writeString(folder.resolve("source"), sources);
    Path target = Files.writeString(folder.resolve("target"), targets);
    Path out = folder.resolve("names.json");
    assertThat(run("translate", "--model", NAMES, "--input", source, "--output", out)).isZero();
    Path scored = folder.resolve("scored.json");
    assertThat(
            run(
                "translate",
                "--model",
                NAMES,
                "--input",
                source,
                "--target",
                target,
                "--output",
                scored))
        .isZero();
    assertThat(err.toString()).isEmpty();
    // The golden names are what the model translates greedily: both ways are the same steps.
    assertThat(json(scored)).isEqualTo(json(out));
    for (int i = 0; i < golden.size(); i++) {
      StringBuilder name = new StringBuilder();
      json(out).get(i).path("tokens").forEach(token -> name.append(token.textValue()));
      assertThat(name.toString()).isEqualTo(golden.get(i).path("target").textValue());
      assertThat(json(out).get(i).path("log_probs")).hasSameSizeAs(golden.get(i).path("log_probs"));
    }
  }

  @Test
  void refusesUnknownTokensAndLinesThatDoNotMatch() throws IOException {
    Path source = Files.writeString(folder.resolve("source"), "م و ن\nx y\n");
    Path out = folder.resolve("names.json");
    assertRefused(
        "Unknown token in '%s', line 2: found 'x', expected one of the 50 in '%s'; separate tokens by spaces"
            .formatted(source, NAMES.resolve("vocabulary.json")),
        "translate",
        "--model",
        NAMES,
        "--input",
        source,
        "--output",
        out);
    err.getBuffer().setLength(0);
    Path target = Files.writeString(folder.resolve("target"), "a\n");
    assertRefused(
        "Cannot score '%s': found 1 lines, expected the 2 of '%s'; give one per source"
            .formatted(target, source),
        "translate",
        "--model",
        NAMES,
        "--input",
        source,
        "--target",
        target,
        "--output",
        out);
  }
}

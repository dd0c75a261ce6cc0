package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * Node tests of ONNX's {@code Attention} operator: a folder each with {@code case.json} (the node's
 * attributes), {@code inputs.safetensors} and {@code expected.safetensors}. They lie outside the
 * project, below {@code -Dattention.shared}; whatever is there is run.
 */
class ConformanceTest {
  /** Both sides compute in float32, in other orders: a few units of the last place of 1. */
  private static final double TOLERANCE = 1e-5;

  /** The expected numbers were computed in float16, whose last place at 1 is 1e-3. */
  private static final double TOLERANCE_F16 = 2e-3;

  /** The operator's attributes and the settings that they are. */
  private static final Map<String, String> SETTINGS =
      Map.of(
          "scale", "scale",
          "softcap", "softcap",
          "q_num_heads", "numHeads",
          "kv_num_heads", "numKvHeads",
          "qk_matmul_output_mode", "scoresOutput");

  @TempDir private Path folder;

  @TestFactory
  List<DynamicTest> holds() throws IOException {
    Path conformance = Path.of(System.getProperty("attention.shared"), "conformance");
    assumeTrue(
        Files.isDirectory(conformance),
        () -> "no folder '%s': name its parent with -Dattention.shared".formatted(conformance));
    try (Stream<Path> cases = Files.list(conformance)) {
      return cases
          .filter(path -> Files.exists(path.resolve("case.json")))
          .sorted()
          .map(path -> DynamicTest.dynamicTest(path.getFileName().toString(), () -> run(path)))
          .toList();
    }
  }

  private void run(Path conformanceCase) throws IOException {
    AttentionFiles files = new AttentionFiles(LocalSession.get());
    Path out = folder.resolve(conformanceCase.getFileName() + AttentionFiles.SAFETENSORS);
    JsonNode description =
        new ObjectMapper().readTree(conformanceCase.resolve("case.json").toFile());
    SafetensorsFile expected = open(conformanceCase.resolve("expected.safetensors"));
    Map<Key, String> options = options(description.get("attributes"));
    if (expected.has("qk_matmul_output")) {
      options.putIfAbsent(Key.SCORES_OUTPUT, "0");
    }
    files.attend(conformanceCase.resolve("inputs.safetensors"), out, options);

    SafetensorsFile found = open(out);
    for (SafetensorsFile.Tensor tensor : expected.tensors().values()) {
      SafetensorsFile.Tensor its = found.tensor(tensor.name());
      assertThat(its.shape()).as(tensor.name()).isEqualTo(tensor.shape());
      assertThat(its.type()).as(tensor.name()).isEqualTo(tensor.type());
      double tolerance = tensor.type() == DataType.F16 ? TOLERANCE_F16 : TOLERANCE;
      float[] numbers = files.read(found, tensor.name());
      float[] wanted = files.read(expected, tensor.name());
      for (int i = 0; i < wanted.length; i++) {
        String what = "%s[%d]".formatted(tensor.name(), i);
        if (Float.isInfinite(wanted[i])) {
          assertThat(numbers[i]).as(what).isEqualTo(wanted[i]);
        } else {
          assertThat((double) numbers[i]).as(what).isCloseTo(wanted[i], within(tolerance));
        }
      }
    }
  }

  private static SafetensorsFile open(Path file) {
    return SafetensorsFile.open(
        new org.apache.hadoop.fs.Path(file.toString()), new Configuration());
  }

  /** The operator's attributes as options; one that has no option is an error. */
  private static Map<Key, String> options(JsonNode attributes) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    attributes
        .fields()
        .forEachRemaining(
            attribute -> {
              String value = attribute.getValue().asText();
              if (attribute.getKey().equals("is_causal")) {
                options.put(Key.MASK, value.equals("0") ? "full" : "causal");
              } else {
                options.put(key(attribute.getKey()), value);
              }
            });
    return options;
  }

  private static Key key(String attribute) {
    return Arrays.stream(Key.values())
        .filter(key -> key.text().equals(SETTINGS.get(attribute)))
        .findFirst()
        .orElseThrow(() -> new AssertionError("no setting for the attribute " + attribute));
  }
}

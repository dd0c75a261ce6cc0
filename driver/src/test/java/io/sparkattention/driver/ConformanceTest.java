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
import java.util.EnumMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Node tests of ONNX's {@code Attention} operator: a folder each with {@code case.json} (the node's
 * attributes), {@code inputs.safetensors} and {@code expected.safetensors}. They lie outside the
 * project, below {@code -Dattention.shared}.
 */
class ConformanceTest {
  /** Both sides compute in float32, in other orders: a few units of the last place of 1. */
  private static final double TOLERANCE = 1e-5;

  /** The expected numbers were computed in float16, whose last place at 1 is 1e-3. */
  private static final double TOLERANCE_F16 = 2e-3;

  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "3d_diff_heads_sizes",
        "3d_gqa_causal",
        "3d_gqa_scaled",
        "3d_scaled",
        "4d_diff_heads_sizes",
        "4d_diff_heads_sizes_causal",
        "4d_fp16",
        "4d_gqa",
        "4d_gqa_scaled",
        "4d_scaled"
      })
  void holds(String name) throws IOException {
    Path conformance = Path.of(System.getProperty("attention.shared"), "conformance");
    assumeTrue(
        Files.isDirectory(conformance),
        () -> "no folder '%s': name its parent with -Dattention.shared".formatted(conformance));
    run(conformance.resolve("attention_" + name));
  }

  private void run(Path conformanceCase) throws IOException {
    AttentionFiles files = new AttentionFiles(LocalSession.get());
    Path out = folder.resolve("out.safetensors");
    JsonNode description =
        new ObjectMapper().readTree(conformanceCase.resolve("case.json").toFile());
    files.attend(
        conformanceCase.resolve("inputs.safetensors"), out, options(description.get("attributes")));

    SafetensorsFile expected = open(conformanceCase.resolve("expected.safetensors"));
    SafetensorsFile found = open(out);
    for (SafetensorsFile.Tensor tensor : expected.tensors().values()) {
      SafetensorsFile.Tensor its = found.tensor(tensor.name());
      assertThat(its.shape()).as(tensor.name()).isEqualTo(tensor.shape());
      assertThat(its.type()).as(tensor.name()).isEqualTo(tensor.type());
      double tolerance = tensor.type() == DataType.F16 ? TOLERANCE_F16 : TOLERANCE;
      float[] numbers = files.read(found, tensor.name());
      float[] wanted = files.read(expected, tensor.name());
      for (int i = 0; i < wanted.length; i++) {
        assertThat((double) numbers[i])
            .as("%s[%d]", tensor.name(), i)
            .isCloseTo(wanted[i], within(tolerance));
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
              switch (attribute.getKey()) {
                case "is_causal" -> options.put(Key.MASK, value.equals("0") ? "full" : "causal");
                case "scale" -> options.put(Key.SCALE, value);
                case "q_num_heads" -> options.put(Key.NUM_HEADS, value);
                case "kv_num_heads" -> options.put(Key.NUM_KV_HEADS, value);
                default -> throw new AssertionError("no option for " + attribute);
              }
            });
    return options;
  }
}

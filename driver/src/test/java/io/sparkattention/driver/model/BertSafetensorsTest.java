package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsWriter;
import io.sparkattention.driver.io.SafetensorsWriter.Declaration;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The trained encoder's weights in Hugging Face's file form. */
class BertSafetensorsTest {
  @TempDir Path folder;

  @BeforeEach
  void config() throws IOException {
    Files.writeString(
        folder.resolve("config.json"),
        """
        {"model_type": "bert", "num_attention_heads": 12, "hidden_act": "gelu",
         "layer_norm_eps": 1e-12}
        """);
  }

  /** Tensors of the ONNX file under names with a prefix, and more. */
  private void write(Map<String, long[]> more, String without) {
    ModelWeights weights = ModelWeights.read(TrainedModel.folder());
    Map<String, float[]> data = new HashMap<>();
    Map<String, List<Long>> shapes = new HashMap<>();
    for (String name : weights.names()) {
      if (!name.equals(without) && name.matches("(embeddings|encoder)\\..*")) {
        float[] values = weights.data(name);
        int columns = name.endsWith("bias") || name.contains("Norm") ? 0 : weights.axis(name, 1);
        long rows = weights.axis(name, 0);
        data.put("bert." + name, values);
        shapes.put("bert." + name, columns == 0 ? List.of(rows) : List.of(rows, (long) columns));
      }
    }
    more.forEach(
        (name, shape) -> {
          data.put(name, new float[Math.toIntExact(shape[0])]);
          shapes.put(name, List.of(shape[0]));
        });
    SafetensorsWriter writer =
        new SafetensorsWriter(
            shapes.entrySet().stream()
                .map(entry -> new Declaration(entry.getKey(), DataType.F32, entry.getValue()))
                .toList());
    writer.write(
        new org.apache.hadoop.fs.Path(folder.resolve("model.safetensors").toUri()),
        new Configuration(false),
        true,
        writer.tensors().stream().map(tensor -> bytes(data.get(tensor.name()))).iterator());
  }

  private static ByteBuffer bytes(float[] values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return bytes;
  }

  @Test
  void theSameBitsAsFromOnnxAndThePoolerIsNotUsed() {
    write(Map.of("bert.pooler.dense.bias", new long[] {384}), "");
    BertModel model = BertModel.load(ModelFolder.at(folder.toString()));
    int[] ids = TrainedModel.ids("The animal didn't cross the street.");
    float[] states = new BertEncoder(model).encode(ids).lastHiddenState();
    float[] expected = new BertEncoder(TrainedModel.model()).encode(ids).lastHiddenState();
    assertThat(Arrays.equals(states, expected)).isTrue();
  }

  @Test
  void listsWhatIsMissingOrNotUsed() {
    write(Map.of("bert.extra.bias", new long[] {3}), "");
    assertRefused("extra.bias is not used");
    write(Map.of(), "encoder.layer.2.output.dense.bias");
    assertRefused("encoder.layer.2.output.dense.bias is missing");
  }

  private void assertRefused(String message) {
    assertThatThrownBy(() -> BertModel.load(ModelFolder.at(folder.toString())))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(message);
  }
}

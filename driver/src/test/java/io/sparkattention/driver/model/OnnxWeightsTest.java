package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.model.ModelWeights.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OnnxWeightsTest {
  @TempDir Path folder;

  @Test
  void sizesOfTheTrainedModel() {
    BertConfig config = TrainedModel.model().config();

    assertThat(config.vocabulary()).isEqualTo(30522);
    assertThat(config.positions()).isEqualTo(512);
    assertThat(config.hidden()).isEqualTo(384);
    assertThat(config.numHeads()).isEqualTo(12);
    assertThat(config.headDim()).isEqualTo(32);
    assertThat(config.intermediate()).isEqualTo(1536);
    assertThat(config.layers()).isEqualTo(6);
  }

  @Test
  void anonymousWeightsGetTheirHuggingFaceNamesAndShapes() {
    ModelWeights weights = ModelWeights.read(TrainedModel.folder());

    assertThat(weights.names())
        .contains("encoder.layer.5.attention.self.query.weight", "embeddings.LayerNorm.weight")
        .noneMatch(name -> name.startsWith("onnx::"));
    assertThat(weights.axis("encoder.layer.3.intermediate.dense.weight", 0)).isEqualTo(1536);
    assertThat(weights.axis("encoder.layer.3.intermediate.dense.weight", 1)).isEqualTo(384);
  }

  @Test
  void listsEveryMissingAndMisshapenTensorAtOnce() {
    Map<String, Tensor> tensors = new HashMap<>();
    tensors.put("embeddings.word_embeddings.weight", tensor(10, 4));
    tensors.put("embeddings.position_embeddings.weight", tensor(8, 4));
    tensors.put("encoder.layer.0.intermediate.dense.bias", tensor(6));
    tensors.put("encoder.layer.0.attention.self.key.bias", tensor(5));

    assertThatThrownBy(() -> BertModel.of(new ModelWeights("some.onnx", tensors, 2)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("some.onnx")
        .hasMessageContaining("attention.self.key.bias is [5] (expected [4])")
        .hasMessageContaining("attention.self.query.weight is missing (expected [4, 4])")
        .hasMessageContaining("embeddings.token_type_embeddings.weight is missing");
  }

  @Test
  void refusesHeadsThatDoNotDivideTheWidth() {
    Map<String, Tensor> tensors = new HashMap<>();
    tensors.put("embeddings.word_embeddings.weight", tensor(10, 4));
    tensors.put("embeddings.position_embeddings.weight", tensor(8, 4));
    tensors.put("encoder.layer.0.intermediate.dense.bias", tensor(6));

    assertThatThrownBy(() -> BertModel.of(new ModelWeights("some.onnx", tensors, 3)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("3 heads do not divide the hidden width 4");
  }

  private static Tensor tensor(int... shape) {
    int size = 1;
    for (int axis : shape) {
      size *= axis;
    }
    return new Tensor(new float[size], shape);
  }

  @Test
  void refusesFoldersWithoutAUsableModel() throws IOException {
    assertRefused(folder.resolve("absent").toString(), "no such folder");
    assertRefused(folder.toString(), "found neither an .onnx file nor model.safetensors");

    Files.writeString(folder.resolve("model.safetensors"), "");
    assertRefused(folder.toString(), "no config.json found");

    Files.writeString(folder.resolve("a.onnx"), "this is not a graph");
    assertRefused(folder.toString(), "found damaged ONNX");

    Files.writeString(folder.resolve("b.onnx"), "");
    assertRefused(folder.toString(), "2 files *.onnx");
  }

  @Test
  void refusesAGraphThatIsNoEncoder() throws IOException {
    Files.writeString(folder.resolve("empty.onnx"), "");
    assertRefused(folder.toString(), "Cannot tell the number of attention heads");
  }

  private static void assertRefused(String path, String message) {
    assertThatThrownBy(() -> BertModel.load(ModelFolder.at(path)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(message);
  }
}

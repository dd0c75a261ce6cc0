package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparkattention.driver.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelImportTest {
  private static final int[] IDS = TrainedModel.ids("The animal didn't cross the street.");

  @TempDir Path temporary;

  private static Path onnx() {
    return TrainedModel.folder().onnx().orElseThrow();
  }

  private static float[] states(BertModel model) {
    return new LocalEncoder(model).encode(IDS);
  }

  @Test
  void theFolderGivesTheBitsOfTheOnnxFileAndNamesIt() throws Exception {
    Path output = temporary.resolve("model");
    BertConfig config = ModelImport.run(onnx(), output.toString(), false);

    ModelFolder folder = ModelFolder.at(output.toString());
    assertThat(config.layers()).isEqualTo(6);
    assertThat(states(BertModel.load(folder))).isEqualTo(states(TrainedModel.model()));
    try (TextTokenizer tokenizer = TextTokenizer.open(folder)) {
      assertThat(tokenizer.tokenize("The animal didn't cross the street.").ids()).isEqualTo(IDS);
    }
    JsonNode source = new ObjectMapper().readTree(output.resolve("source.json").toFile());
    byte[] digest = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(onnx()));
    assertThat(source.path("file").asText()).isEqualTo(onnx().getFileName().toString());
    assertThat(source.path("sha256").asText()).isEqualTo(HexFormat.of().formatHex(digest));
  }

  @Test
  void readsAJar() throws IOException {
    Path jar = temporary.resolve("model.jar");
    try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(jar))) {
      zip.setLevel(0);
      zip.putNextEntry(new ZipEntry("some/where/m.onnx"));
      Files.copy(onnx(), zip);
      zip.putNextEntry(new ZipEntry("some/where/m-tokenizer.json"));
      Files.copy(TrainedModel.folder().tokenizer(), zip);
    }
    Path output = temporary.resolve("model");

    ModelImport.run(jar, output.toString(), false);

    assertThat(states(BertModel.load(ModelFolder.at(output.toString()))))
        .isEqualTo(states(TrainedModel.model()));
    assertThatThrownBy(() -> ModelImport.run(jar, output.toString(), false))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("it exists already");
  }

  @Test
  void refusesWhatHoldsNoModel() throws IOException {
    Path output = temporary.resolve("model");
    Path jar = temporary.resolve("empty.jar");
    try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(jar))) {
      zip.putNextEntry(new ZipEntry("readme.txt"));
    }
    assertRefused(jar, "found no .onnx file in it");
    Files.writeString(jar, "no archive");
    assertRefused(jar, "expected a JAR");
    assertRefused(temporary.resolve("none.onnx"), "no such file");
    Path damaged = Files.writeString(temporary.resolve("damaged.onnx"), "no protocol buffer");
    assertRefused(damaged, "damaged");
    assertThat(output).doesNotExist();
  }

  private void assertRefused(Path source, String message) {
    assertThatThrownBy(() -> ModelImport.run(source, temporary.resolve("model").toString(), false))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(message);
  }
}

package io.sparkattention.driver.model;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Trained models with golden outputs that lie beside the project, where they are there. */
final class SharedModel {
  private SharedModel() {}

  /** The folder of a model; the test is skipped, and says why, where there is none. */
  static ModelFolder folder(String name) {
    Path folder = path(name);
    assumeTrue(
        Files.isDirectory(folder),
        () -> "no folder '%s': name its parent's with -Dattention.shared".formatted(folder));
    return ModelFolder.at(folder.toString());
  }

  static Path path(String name) {
    return Path.of(System.getProperty("attention.shared"), "models", name);
  }

  /** What others' code computed with the model. */
  static JsonNode golden(String name) {
    try {
      return new ObjectMapper().readTree(path(name).resolve("golden.json").toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static int[] integers(JsonNode list) {
    int[] result = new int[list.size()];
    for (int i = 0; i < result.length; i++) {
      result[i] = list.get(i).intValue();
    }
    return result;
  }
}

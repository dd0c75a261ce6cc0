package io.sparkattention.driver.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparkattention.driver.InvalidInputException;
import java.io.IOException;
import java.nio.file.Path;

/** The {@code config.json} of a model in Hugging Face's layout. */
final class ModelConfig {
  private final Path file;
  private final JsonNode json;

  private ModelConfig(Path file, JsonNode json) {
    this.file = file;
    this.json = json;
  }

  /** Reads the folder's configuration. */
  static ModelConfig read(ModelFolder folder) {
    Path file = folder.file("config.json");
    try {
      JsonNode json = new ObjectMapper().readTree(file.toFile());
      if (json.isObject()) {
        return new ModelConfig(file, json);
      }
      throw new InvalidInputException(
          "Cannot read '" + file + "': found no JSON object, expected a model's configuration");
    } catch (IOException e) {
      throw new InvalidInputException(
          "Cannot read '%s': %s; expected a model's configuration as JSON"
              .formatted(file, e.getMessage().lines().findFirst().orElse("")),
          e);
    }
  }

  /**
   * Refuses any architecture but this one.
   *
   * @param architecture as Hugging Face names its class
   */
  void requireArchitecture(String architecture) {
    String found = json.path("architectures").path(0).asText("none");
    if (!found.equals(architecture)) {
      throw wrong("architectures", found, architecture + "; give a model of that family");
    }
  }

  /** A whole number of at least 1. */
  int count(String name) {
    JsonNode value = json.path(name);
    if (!value.isInt() || value.intValue() < 1) {
      throw wrong(name, shown(value), "a whole number from 1; correct the file");
    }
    return value.intValue();
  }

  /** A whole number of at least 1, or what stands for it where it is absent. */
  int count(String name, int absent) {
    return json.hasNonNull(name) ? count(name) : absent;
  }

  /** The id of a token, 0 or more. */
  int tokenId(String name) {
    JsonNode value = json.path(name);
    if (!value.isInt() || value.intValue() < 0) {
      throw wrong(name, shown(value), "a token's id; correct the file");
    }
    return value.intValue();
  }

  /** A number above 0. */
  double positive(String name) {
    JsonNode value = json.path(name);
    if (!value.isNumber() || !(value.doubleValue() > 0)) {
      throw wrong(name, shown(value), "a number above 0; correct the file");
    }
    return value.doubleValue();
  }

  boolean flag(String name) {
    return json.path(name).asBoolean(false);
  }

  /** Refuses any value of a setting but one. */
  void require(String name, String expected) {
    String found = json.path(name).asText("none");
    if (!found.equals(expected)) {
      throw wrong(name, found, expected + "; others are not supported");
    }
  }

  /** Refuses any value of a setting but one, which it also has where it is absent. */
  void requireOrAbsent(String name, String expected) {
    if (json.hasNonNull(name)) {
      require(name, expected);
    }
  }

  /** Refuses a setting that is there. */
  void requireAbsent(String name) {
    if (json.hasNonNull(name)) {
      throw wrong(name, shown(json.path(name)), "none; it is not supported");
    }
  }

  private static String shown(JsonNode value) {
    return value.isMissingNode() ? "none" : value.toString();
  }

  private InvalidInputException wrong(String name, String found, String expected) {
    return new InvalidInputException(
        "Invalid %s in '%s': found %s, expected %s".formatted(name, file, found, expected));
  }
}

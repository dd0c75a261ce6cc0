package io.sparkattention.driver.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparkattention.driver.InvalidInputException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * The {@code vocabulary.json} of an encoder-decoder: {@code source} and {@code target}, each a list
 * of tokens by id.
 */
public final class TranslationVocabulary {
  private static final String FILE = "vocabulary.json";

  private final Path file;
  private final Map<String, Integer> source;
  private final Map<String, Integer> target;
  private final String[] targetTokens;

  private TranslationVocabulary(Path file, JsonNode json) {
    this.file = file;
    this.source = ids(tokens(file, json, "source"));
    this.targetTokens = tokens(file, json, "target");
    this.target = ids(targetTokens);
  }

  /** Reads the folder's vocabulary. */
  public static TranslationVocabulary read(ModelFolder folder) {
    Path file = folder.file(FILE);
    try {
      return new TranslationVocabulary(file, new ObjectMapper().readTree(file.toFile()));
    } catch (IOException e) {
      throw new InvalidInputException(
          "Cannot read vocabulary '%s': %s; expected JSON"
              .formatted(file, e.getMessage().lines().findFirst().orElse("")),
          e);
    }
  }

  private static String[] tokens(Path file, JsonNode json, String side) {
    JsonNode list = json.path(side);
    if (!list.isArray() || list.isEmpty()) {
      throw new InvalidInputException(
          "Invalid vocabulary '%s': found no list '%s', expected its tokens by id; use the file that belongs to the model"
              .formatted(file, side));
    }
    String[] tokens = new String[list.size()];
    for (int id = 0; id < tokens.length; id++) {
      tokens[id] = list.get(id).asText();
    }
    return tokens;
  }

  private static Map<String, Integer> ids(String[] tokens) {
    Map<String, Integer> ids = new HashMap<>();
    for (int id = 0; id < tokens.length; id++) {
      ids.putIfAbsent(tokens[id], id);
    }
    return ids;
  }

  /**
   * The ids of a source line.
   *
   * @param line tokens separated by spaces
   * @param where the line is from, for messages
   */
  public int[] source(String line, String where) {
    return ids(line, source, where);
  }

  /** The ids of a target line. */
  public int[] target(String line, String where) {
    return ids(line, target, where);
  }

  private int[] ids(String line, Map<String, Integer> known, String where) {
    String[] tokens = line.isBlank() ? new String[0] : line.strip().split("\\s+");
    int[] ids = new int[tokens.length];
    for (int i = 0; i < ids.length; i++) {
      Integer id = known.get(tokens[i]);
      if (id == null) {
        throw new InvalidInputException(
            "Unknown token in %s: found '%s', expected one of the %d in '%s'; separate tokens by spaces"
                .formatted(where, tokens[i], known.size(), file));
      }
      ids[i] = id;
    }
    return ids;
  }

  /** A target token's text; of an id beyond the list its number. */
  public String targetToken(int id) {
    return id < targetTokens.length ? targetTokens[id] : "<" + id + ">";
  }
}

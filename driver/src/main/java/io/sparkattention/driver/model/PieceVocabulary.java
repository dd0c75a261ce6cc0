package io.sparkattention.driver.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparkattention.driver.InvalidInputException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The {@code vocabulary.json} of a decoder: pieces of text with scores, as SentencePiece's byte
 * pair encoding has them (Kudo and Richardson 2018; Sennrich et al. 2016). {@code <0xNN>} is the
 * piece of one byte.
 */
public final class PieceVocabulary {
  private static final Pattern BYTE = Pattern.compile("<0x([0-9A-F]{2})>");
  private static final String FILE = "vocabulary.json";

  private final String[] pieces;
  private final double[] scores;
  private final Map<String, Integer> ids = new HashMap<>();
  private final int beginToken;
  private final int endToken;

  private PieceVocabulary(String[] pieces, double[] scores, LlamaConfig config) {
    this.pieces = pieces;
    this.scores = scores;
    this.beginToken = config.beginToken();
    this.endToken = config.endToken();
    for (int id = 0; id < pieces.length; id++) {
      ids.putIfAbsent(pieces[id], id);
    }
  }

  /**
   * Reads the folder's vocabulary.
   *
   * @throws InvalidInputException if it is missing, malformed or of another size than the model's
   */
  public static PieceVocabulary read(ModelFolder folder, LlamaConfig config) {
    Path file = folder.file(FILE);
    try {
      JsonNode json = new ObjectMapper().readTree(file.toFile());
      if (!json.isArray() || json.size() != config.vocabulary()) {
        throw new InvalidInputException(
            "Invalid vocabulary '%s': found %s, expected a list of the model's %d pieces; use the file that belongs to the model"
                .formatted(
                    file,
                    json.isArray() ? json.size() + " pieces" : "no list",
                    config.vocabulary()));
      }
      String[] pieces = new String[json.size()];
      double[] scores = new double[json.size()];
      for (int id = 0; id < pieces.length; id++) {
        JsonNode piece = json.get(id).path("piece");
        if (!piece.isTextual()) {
          throw new InvalidInputException(
              "Invalid vocabulary '%s': found %s as entry %d, expected {\"piece\": TEXT, \"score\": NUMBER}; correct it"
                  .formatted(file, json.get(id), id));
        }
        pieces[id] = piece.textValue();
        scores[id] = json.get(id).path("score").asDouble();
      }
      return new PieceVocabulary(pieces, scores, config);
    } catch (IOException e) {
      throw new InvalidInputException(
          "Cannot read vocabulary '%s': %s; expected JSON"
              .formatted(file, e.getMessage().lines().findFirst().orElse("")),
          e);
    }
  }

  /**
   * A text's tokens, the one that begins a text first. A space is put before the text; then
   * neighbours whose union is a piece are joined, the best score first, the leftmost of equals.
   */
  public int[] encode(String text) {
    List<Integer> tokens = new ArrayList<>();
    if (!text.isEmpty()) {
      (" " + text).codePoints().forEach(c -> addCharacter(Character.toString(c), tokens));
    }
    for (int at = bestPair(tokens); at >= 0; at = bestPair(tokens)) {
      tokens.set(at, joined(tokens, at));
      tokens.remove(at + 1);
    }
    tokens.add(0, beginToken);
    return tokens.stream().mapToInt(Integer::intValue).toArray();
  }

  private void addCharacter(String character, List<Integer> tokens) {
    Integer id = ids.get(character);
    if (id != null) {
      tokens.add(id);
      return;
    }
    for (byte b : character.getBytes(StandardCharsets.UTF_8)) {
      String piece = "<0x%02X>".formatted(b & 0xFF);
      Integer byteId = ids.get(piece);
      if (byteId == null) {
        throw new InvalidInputException(
            "Cannot tokenize '%s': found neither it nor %s in the vocabulary; leave it out"
                .formatted(character, piece));
      }
      tokens.add(byteId);
    }
  }

  /** Index of the first token of the pair to be joined next; −1 if none can be. */
  private int bestPair(List<Integer> tokens) {
    int best = -1;
    for (int i = 0; i + 1 < tokens.size(); i++) {
      Integer id = joined(tokens, i);
      if (id != null && (best < 0 || scores[id] > scores[joined(tokens, best)])) {
        best = i;
      }
    }
    return best;
  }

  private Integer joined(List<Integer> tokens, int at) {
    return ids.get(pieces[tokens.get(at)] + pieces[tokens.get(at + 1)]);
  }

  /** The text of tokens, without those that begin or end one and the space that begins it. */
  public String decode(int[] tokens) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (int token : tokens) {
      if (token != beginToken && token != endToken) {
        Matcher one = BYTE.matcher(pieces[token]);
        byte[] piece =
            one.matches()
                ? new byte[] {(byte) Integer.parseInt(one.group(1), 16)}
                : pieces[token].getBytes(StandardCharsets.UTF_8);
        bytes.writeBytes(piece);
      }
    }
    String text = bytes.toString(StandardCharsets.UTF_8);
    return text.startsWith(" ") ? text.substring(1) : text;
  }
}

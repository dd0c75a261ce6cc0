package io.sparkattention.driver.model;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.CharSpan;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparkattention.driver.InvalidInputException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

/**
 * A model's own tokenizer, read from {@code tokenizer.json} by Hugging Face's library. The whole
 * text is tokenized: the file's and the library's limits and padding are switched off.
 *
 * <p>Special tokens that are spelt out in the text, such as {@code [SEP]}, are recognized as such:
 * that is how the library behaves everywhere. Not safe for use by several threads.
 */
public final class TextTokenizer implements AutoCloseable {
  /** UTF-16 units handed over at once: the native side copies a text several times. */
  private static final int UNITS_AT_ONCE = 1 << 16;

  private final HuggingFaceTokenizer tokenizer;
  private final boolean wordsEndAtWhitespace;

  private TextTokenizer(HuggingFaceTokenizer tokenizer, boolean wordsEndAtWhitespace) {
    this.tokenizer = tokenizer;
    this.wordsEndAtWhitespace = wordsEndAtWhitespace;
  }

  /** Opens the folder's tokenizer. Nothing is fetched from a network. */
  public static TextTokenizer open(ModelFolder folder) {
    return open(bytes(folder), folder.tokenizer().toString());
  }

  /** The folder's {@code tokenizer.json}, to be opened on an executor. */
  public static byte[] bytes(ModelFolder folder) {
    Path file = folder.tokenizer();
    try {
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new InvalidInputException(
          "Cannot read tokenizer " + file + ": " + e.getMessage() + "; make it readable", e);
    }
  }

  /**
   * Opens a tokenizer.
   *
   * @param json what {@code tokenizer.json} holds
   * @param source where it came from, for messages
   */
  public static TextTokenizer open(byte[] json, String source) {
    // Its native code comes in its jar; without this it may look for another build on the network.
    System.setProperty("ai.djl.offline", "true");
    try {
      HuggingFaceTokenizer tokenizer =
          HuggingFaceTokenizer.newInstance(
              new ByteArrayInputStream(json), Map.of("truncation", "false", "padding", "false"));
      return new TextTokenizer(tokenizer, wordsEndAtWhitespace(new ObjectMapper().readTree(json)));
    } catch (IOException | RuntimeException e) {
      throw new InvalidInputException(
          "Cannot read tokenizer "
              + source
              + ": "
              + e.getMessage()
              + "; expected a tokenizer.json of Hugging Face's tokenizers library",
          e);
    }
  }

  /**
   * Whether a cut in front of an ASCII space or line end leaves all tokens as they are. BERT's
   * normalizer looks at one character at a time (its canonical decomposition reorders combining
   * marks only, never across a space), its pre-tokenizer ends a word at every whitespace, and a
   * word's pieces depend on that word alone; only an added token with a space inside could span it.
   */
  private static boolean wordsEndAtWhitespace(JsonNode json) {
    for (JsonNode added : json.path("added_tokens")) {
      if (added.path("content").asText().chars().anyMatch(Character::isWhitespace)) {
        return false;
      }
    }
    return json.path("normalizer").path("type").asText().equals("BertNormalizer")
        && json.path("pre_tokenizer").path("type").asText().equals("BertPreTokenizer");
  }

  /** Tokenizes a text of any length, between the model's special tokens ([CLS] text [SEP]). */
  public TokenizedText tokenize(String text) {
    return tokenize(text, wordsEndAtWhitespace ? UNITS_AT_ONCE : Integer.MAX_VALUE);
  }

  /** The same with another number of UTF-16 units at once. */
  TokenizedText tokenize(String text, int unitsAtOnce) {
    checkSurrogates(text);
    Tokens tokens = new Tokens();
    Encoding frame = tokenizer.encode("a", true, false);
    long[] special = frame.getSpecialTokenMask();
    int leading = 0;
    while (special[leading] == 1) {
      leading++;
    }
    int trailing = special.length;
    while (special[trailing - 1] == 1) {
      trailing--;
    }
    tokens.addSpecials(frame, 0, leading, 0);
    for (int start = 0; start < text.length(); ) {
      int end = cut(text, start, unitsAtOnce);
      String part = text.substring(start, end);
      tokens.add(tokenizer.encode(part, false, false), part, start);
      start = end;
    }
    tokens.addSpecials(frame, trailing, special.length, text.length());
    return tokens.of(text);
  }

  /** The next whitespace that lies at least {@code unitsAtOnce} behind {@code start}. */
  private static int cut(String text, int start, int unitsAtOnce) {
    if (text.length() - start <= unitsAtOnce) {
      return text.length();
    }
    int end = start + unitsAtOnce;
    while (end < text.length() && " \n\t\r".indexOf(text.charAt(end)) < 0) {
      end++;
    }
    return end;
  }

  private static void checkSurrogates(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        if (Character.charCount(text.codePointAt(i)) == 1) {
          throw new InvalidInputException(
              "Cannot tokenize the text: found half a surrogate pair at index "
                  + i
                  + "; expected well-formed Unicode");
        }
        i++;
      }
    }
  }

  @Override
  public void close() {
    tokenizer.close();
  }

  /** Tokens gathered so far. */
  private static final class Tokens {
    private int size;
    private int[] ids = new int[1024];
    private int[] starts = new int[1024];
    private int[] ends = new int[1024];
    private String[] vocabulary = new String[0];

    void addSpecials(Encoding encoding, int from, int to, int at) {
      for (int i = from; i < to; i++) {
        add(encoding.getIds()[i], encoding.getTokens()[i], at, at);
      }
    }

    void add(Encoding encoding, String part, int offset) {
      long[] newIds = encoding.getIds();
      String[] newTokens = encoding.getTokens();
      CharSpan[] spans = encoding.getCharTokenSpans();
      int[] units = unitsOfCodePoints(part);
      for (int i = 0; i < newIds.length; i++) {
        int start = spans[i] == null ? 0 : spans[i].getStart();
        int end = spans[i] == null ? start : spans[i].getEnd();
        if (units != null) {
          start = units[start];
          end = units[end];
        }
        add(newIds[i], newTokens[i], offset + start, offset + end);
      }
    }

    private void add(long id, String token, int start, int end) {
      if (size == ids.length) {
        int capacity = size + (size >> 1);
        ids = Arrays.copyOf(ids, capacity);
        starts = Arrays.copyOf(starts, capacity);
        ends = Arrays.copyOf(ends, capacity);
      }
      ids[size] = Math.toIntExact(id);
      starts[size] = start;
      ends[size] = end;
      size++;
      if (id >= vocabulary.length) {
        vocabulary = Arrays.copyOf(vocabulary, Math.toIntExact(id + id / 2 + 1));
      }
      if (vocabulary[(int) id] == null) {
        vocabulary[(int) id] = token;
      }
    }

    /** The library counts code points, Java UTF-16 units; null where both are the same. */
    private static int[] unitsOfCodePoints(String part) {
      int codePoints = part.codePointCount(0, part.length());
      if (codePoints == part.length()) {
        return null;
      }
      int[] units = new int[codePoints + 1];
      for (int i = 0; i < codePoints; i++) {
        units[i + 1] = units[i] + Character.charCount(part.codePointAt(units[i]));
      }
      return units;
    }

    TokenizedText of(String text) {
      return new TokenizedText(
          text,
          Arrays.copyOf(ids, size),
          Arrays.copyOf(starts, size),
          Arrays.copyOf(ends, size),
          vocabulary);
    }
  }
}

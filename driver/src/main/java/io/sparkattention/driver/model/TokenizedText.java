package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A text as a model reads it: token ids, the vocabulary's token for each, and where in the text it
 * came from. Special tokens around the text have empty ranges.
 */
public final class TokenizedText {
  private final String text;

  /** [tokens]. */
  private final int[] ids;

  /** [tokens]: first UTF-16 unit of each token in the text, and the one after its last. */
  private final int[] starts;

  private final int[] ends;

  /** By token id; null where the id does not occur. */
  private final String[] vocabulary;

  TokenizedText(String text, int[] ids, int[] starts, int[] ends, String[] vocabulary) {
    this.text = text;
    this.ids = ids;
    this.starts = starts;
    this.ends = ends;
    this.vocabulary = vocabulary;
  }

  /** The text itself. */
  public String text() {
    return text;
  }

  /** Number of tokens. */
  public int size() {
    return ids.length;
  }

  /** All token ids; not to be changed. */
  public int[] ids() {
    return ids;
  }

  /** The vocabulary's token at a position, such as {@code ##ing}. */
  public String token(int position) {
    return vocabulary[ids[position]];
  }

  /** The tokens by id, null for ids that do not occur; not to be changed. */
  String[] vocabulary() {
    return vocabulary;
  }

  /** Index in the text of a token's first UTF-16 unit. */
  public int start(int position) {
    return starts[position];
  }

  /** Index in the text after a token's last UTF-16 unit. */
  public int end(int position) {
    return ends[position];
  }

  /**
   * The positions of the tokens that make up a word, case ignored.
   *
   * @param occurrence 1 for the word's first occurrence as a whole word, 2 for its second, …
   */
  public List<Integer> positionsOf(String word, int occurrence) {
    String lower = text.toLowerCase(Locale.ROOT);
    String wanted = word.toLowerCase(Locale.ROOT);
    int found = 0;
    // Some characters change their length with their case; such a text is searched as it is.
    String searched = lower.length() == text.length() ? lower : text;
    for (int at = searched.indexOf(wanted);
        at >= 0 && !wanted.isEmpty();
        at = searched.indexOf(wanted, at + 1)) {
      if (isWord(searched, at, at + wanted.length()) && ++found == occurrence) {
        return positionsWithin(at, at + wanted.length(), word);
      }
    }
    throw new InvalidInputException(
        "Cannot find the word \""
            + word
            + "\" in the text: found it "
            + found
            + " times, expected at least "
            + occurrence
            + "; give a word of the text");
  }

  private static boolean isWord(String text, int start, int end) {
    return (start == 0 || !Character.isLetterOrDigit(text.codePointBefore(start)))
        && (end == text.length() || !Character.isLetterOrDigit(text.codePointAt(end)));
  }

  private List<Integer> positionsWithin(int start, int end, String word) {
    List<Integer> positions = new ArrayList<>();
    for (int position = 0; position < ids.length; position++) {
      if (starts[position] >= start && ends[position] <= end && ends[position] > starts[position]) {
        positions.add(position);
      }
    }
    if (positions.isEmpty()) {
      throw new InvalidInputException(
          "Cannot find tokens for the word \""
              + word
              + "\": the tokenizer made none of it; give another word of the text");
    }
    return positions;
  }
}

package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import java.util.Arrays;
import java.util.Locale;

/** What an encoder does with a document beyond its trained positions. No token is ever cut off. */
public enum Overflow {
  /** Refuse the document. */
  ERROR,
  /**
   * Encode windows of as many tokens as there are positions, half of them apart, the last one at
   * the document's end; each token takes its state from the window in which it is most central.
   */
  WINDOW,
  /**
   * Every token attends to every token; learnt positions start again at the first one. Models were
   * not trained so: the numbers are exact, their use is not known.
   */
  EXTEND;

  /** Reads the option's value, {@code error}, {@code window} or {@code extend}. */
  public static Overflow parse(String name) {
    return Arrays.stream(values())
        .filter(overflow -> overflow.name().toLowerCase(Locale.ROOT).equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new InvalidInputException(
                    "Invalid --overflow: found '%s', expected error, window or extend"
                        .formatted(name)));
  }
}

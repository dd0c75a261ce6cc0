package io.sparkattention.driver.scores;

import java.util.function.Function;

/** Numbers of a setting, written in its text or in a file that the text names. */
public final class NumberList {
  /** No number is larger: float32 resolves an eighth up to here. */
  static final float MAX = 1 << 20;

  private NumberList() {}

  /** One of the numbers is none, or out of range. */
  public static final class InvalidNumberException extends IllegalArgumentException {
    private static final long serialVersionUID = 1L;

    private InvalidNumberException(String found, int index) {
      super("found '%s' as number %d".formatted(found, index + 1));
    }
  }

  /**
   * Reads numbers that commas, spaces or lines separate.
   *
   * @param text the numbers, or {@code @NAME} of a list
   * @param least the smallest number allowed; the largest is {@link #MAX}
   * @param lists gives the text of a list by its name
   * @throws InvalidNumberException names the first that is wrong
   */
  static float[] parse(String text, float least, Function<String, String> lists) {
    String list = text.strip();
    String numbers = list.startsWith("@") ? lists.apply(list.substring(1)) : list;
    String[] parts = numbers.strip().split("\\s*,\\s*|\\s+", -1);
    float[] parsed = new float[parts.length];
    for (int i = 0; i < parts.length; i++) {
      parsed[i] = number(parts[i]);
      // Not the opposite comparison: NaN is refused too.
      if (!(parsed[i] >= least && parsed[i] <= MAX)) {
        throw new InvalidNumberException(parts[i], i);
      }
    }
    return parsed;
  }

  /** NaN for a text that is no number. */
  private static float number(String text) {
    if (text.equalsIgnoreCase("-inf")) {
      return Float.NEGATIVE_INFINITY;
    }
    try {
      return Float.parseFloat(text);
    } catch (NumberFormatException e) {
      return Float.NaN;
    }
  }
}

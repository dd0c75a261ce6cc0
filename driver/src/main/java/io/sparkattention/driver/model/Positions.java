package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import java.util.Arrays;
import java.util.Locale;

/** What to do with tokens beyond the positions that a model has learnt. Nothing is ever cut off. */
public enum Positions {
  /** Refuse the text. */
  ERROR,
  /** Start again at the first learnt position: position mod limit. */
  WRAP;

  /** Reads the option's value, {@code error} or {@code wrap}. */
  public static Positions parse(String name) {
    return Arrays.stream(values())
        .filter(policy -> policy.name().equals(name.toUpperCase(Locale.ROOT)))
        .findFirst()
        .orElseThrow(
            () ->
                new InvalidInputException(
                    "Invalid --positions: found " + name + ", expected error or wrap"));
  }

  /** Refuses a sequence that is longer than this policy allows. */
  void check(long tokens, int limit) {
    if (this == ERROR && tokens > limit) {
      throw new InvalidInputException(
          "Cannot embed "
              + tokens
              + " tokens: the model has "
              + limit
              + " positions; shorten the text, or give --positions wrap to use them again from the"
              + " first one");
    }
  }

  /** The learnt position for a global position of a checked sequence. */
  int learnt(long position, int limit) {
    return (int) (position % limit);
  }
}

package io.sparkattention.partitioning;

import java.util.Arrays;
import java.util.function.Function;

/**
 * The arguments of a mask in a text, taken one by one in the order of its form, such as {@code
 * dilated-window:LEFT,STEP[,RIGHT]}: in brackets what may be absent; a last {@code …} says that the
 * last one is a list.
 */
final class MaskArguments {

  private static final String LIST = ",…";

  /** [parameters]: their names. */
  private final String[] names;

  private final String[] values;

  /** Of a list from elsewhere, for messages; else empty. */
  private final String source;

  private int next;

  MaskArguments(String form, String[] values, Function<String, String> lists) {
    int colon = form.indexOf(':');
    boolean list = form.endsWith(LIST);
    String parameters = colon < 0 ? "" : form.substring(colon + 1).replace(LIST, "");
    int bracket = parameters.indexOf('[');
    int required = count(bracket < 0 ? parameters : parameters.substring(0, bracket));
    this.names = parameters.replaceAll("[\\[\\]]", "").split(",");
    if (values.length < required || (values.length > count(parameters) && !list)) {
      throw new IllegalArgumentException("expected " + form);
    }
    boolean named =
        list && values.length == names.length && values[names.length - 1].startsWith("@");
    this.source = named ? values[names.length - 1] : "";
    this.values = named ? withList(values, lists.apply(source.substring(1))) : values;
  }

  private static int count(String parameters) {
    return parameters.isEmpty() ? 0 : parameters.split(",").length;
  }

  private static String[] withList(String[] values, String list) {
    String[] elements = list.strip().split("[\\s,]+", -1);
    String[] all = Arrays.copyOf(values, values.length - 1 + elements.length);
    System.arraycopy(elements, 0, all, values.length - 1, elements.length);
    return all;
  }

  boolean hasNext() {
    return next < values.length;
  }

  long number() {
    String value = values[next];
    long number = whole(value);
    if (number < 0) {
      throw unexpected(value, "a whole number from 0 to " + Long.MAX_VALUE);
    }
    next++;
    return number;
  }

  /** The next number, or what stands for it where it is absent. */
  long number(long absent) {
    return hasNext() ? number() : absent;
  }

  long positive() {
    String value = values[next];
    if (whole(value) == 0) {
      throw unexpected(value, "a whole number from 1 to " + Long.MAX_VALUE);
    }
    return number();
  }

  /** The list: all that is left, at least one. */
  long[] numbers() {
    long[] numbers = new long[values.length - next];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = number();
    }
    return numbers;
  }

  /** The list, of pairs: all first numbers, and all second ones. */
  long[][] pairs() {
    long[][] pairs = new long[2][values.length - next];
    for (int i = 0; i < pairs[0].length; i++) {
      String value = values[next];
      int hyphen = Math.max(0, value.indexOf('-'));
      pairs[0][i] = whole(value.substring(0, hyphen));
      pairs[1][i] = whole(value.substring(Math.min(value.length(), hyphen + 1)));
      if (Math.min(pairs[0][i], pairs[1][i]) < 0) {
        throw unexpected(value, "two whole numbers joined by -");
      }
      next++;
    }
    return pairs;
  }

  /** −1 for any text that is no whole number, or too large a one. */
  private static long whole(String text) {
    // Not parseLong alone: it takes a sign and the digits of other scripts.
    if (text.isEmpty() || !text.chars().allMatch(digit -> digit >= '0' && digit <= '9')) {
      return -1;
    }
    try {
      return Long.parseLong(text);
    } catch (NumberFormatException e) {
      return -1;
    }
  }

  /** Names the parameter, and of a list the element. */
  private IllegalArgumentException unexpected(String value, String expected) {
    int last = names.length - 1;
    String name = names[Math.min(next, last)];
    boolean element = values.length > names.length || !source.isEmpty();
    if (element && next >= last) {
      name += " " + (next - last + 1) + (source.isEmpty() ? "" : " of " + source);
    }
    return new IllegalArgumentException("%s is '%s', expected %s".formatted(name, value, expected));
  }
}

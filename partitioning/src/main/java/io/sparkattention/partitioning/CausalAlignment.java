package io.sparkattention.partitioning;

import java.util.Locale;

/** Which corner of the [queries, keys] matrix the diagonal of a causal mask starts from. */
public enum CausalAlignment {
  /** The first query is aligned with the first key. */
  TOP_LEFT,
  /** The last query is aligned with the last key, as where the first keys come from a cache. */
  BOTTOM_RIGHT;

  /**
   * What is added to a query's position to align it with the keys.
   *
   * @param queries number of query positions
   * @param keys number of key positions
   * @return 0, or keys − queries, which is negative where the queries are more
   */
  public long offset(long queries, long keys) {
    return this == TOP_LEFT ? 0 : keys - queries;
  }

  /**
   * Reads {@code top-left} or {@code bottom-right}.
   *
   * @throws IllegalArgumentException for any other text
   */
  public static CausalAlignment parse(String text) {
    for (CausalAlignment alignment : values()) {
      if (alignment.toString().equals(text)) {
        return alignment;
      }
    }
    throw new IllegalArgumentException(
        "Invalid causal alignment: '" + text + "' (expected top-left or bottom-right)");
  }

  /** The form that {@link #parse} accepts. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}

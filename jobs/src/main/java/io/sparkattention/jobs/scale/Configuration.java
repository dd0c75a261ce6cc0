package io.sparkattention.jobs.scale;

import io.sparkattention.driver.AttentionConfig.Key;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;

/**
 * One cell of an experiment's matrix.
 *
 * @param mask as the experiment file has it
 * @param exchange a name or {@code auto}
 * @param assignment a name or {@code auto}
 */
record Configuration(
    long tokens, int heads, String mask, String exchange, String assignment, int shards) {
  static final String AUTO = "auto";

  /** The settings of a run but for those that the whole experiment has in common. */
  Map<Key, String> options() {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, mask);
    options.put(Key.EXCHANGE, exchange);
    if (!assignment.equals(AUTO)) {
      options.put(Key.ASSIGNMENT, assignment);
    }
    options.put(Key.SHARDS, Integer.toString(shards));
    return options;
  }

  @Override
  public String toString() {
    return String.format(
        Locale.ROOT,
        "%,d tokens × %d heads, %s, %s, %s, %d shards",
        tokens,
        heads,
        mask,
        exchange,
        assignment.equals(AUTO) ? "auto assignment" : assignment,
        shards);
  }
}

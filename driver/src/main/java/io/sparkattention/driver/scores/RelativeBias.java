package io.sparkattention.driver.scores;

/**
 * A {@link PositionBias} that depends on the distance of key and query alone. For a pair of blocks
 * it is asked once per distance, not once per pair of tokens.
 */
@FunctionalInterface
public interface RelativeBias extends PositionBias {
  /**
   * @param head the query head
   * @param distance the key's position minus the query's among the keys
   * @return as {@link PositionBias#of} does
   */
  float of(int head, long distance);

  @Override
  default float of(int head, long query, long key) {
    return of(head, key - query);
  }
}

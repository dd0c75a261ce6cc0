package io.sparkattention.partitioning;

import java.util.List;

/** A mask beside its definition on single positions: the brute force that tests compare with. */
record MaskOracle(AttentionMask mask, Definition definition) {

  /** Whether the query at one position sees the key at another. */
  interface Definition {
    boolean sees(long query, long key, long offset);
  }

  static List<MaskOracle> all() {
    return List.of(
        new MaskOracle(AttentionMask.full(), (query, key, offset) -> true),
        new MaskOracle(AttentionMask.causal(), (query, key, offset) -> key <= query + offset),
        window(0, 0),
        window(2, 0),
        window(0, 3),
        window(3, 1),
        window(100, 0));
  }

  private static MaskOracle window(long left, long right) {
    return new MaskOracle(
        AttentionMask.slidingWindow(left, right),
        (query, key, offset) -> key >= query + offset - left && key <= query + offset + right);
  }

  /** [query.tokens(), key.tokens()] */
  boolean[][] matrix(Block query, Block key, long offset) {
    boolean[][] visible = new boolean[query.tokens()][key.tokens()];
    for (int row = 0; row < query.tokens(); row++) {
      for (int column = 0; column < key.tokens(); column++) {
        visible[row][column] =
            query.sequence() == key.sequence()
                && definition.sees(query.start() + row, key.start() + column, offset);
      }
    }
    return visible;
  }

  long visiblePairs(Block query, Block key, long offset) {
    long pairs = 0;
    for (boolean[] row : matrix(query, key, offset)) {
      for (boolean visible : row) {
        pairs += visible ? 1 : 0;
      }
    }
    return pairs;
  }

  @Override
  public String toString() {
    return mask.toString();
  }
}

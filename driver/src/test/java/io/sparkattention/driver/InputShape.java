package io.sparkattention.driver;

import io.sparkattention.partitioning.CausalAlignment;

/**
 * How many queries and keys the sequences of an input have, and where the queries stand among the
 * keys. Sizes are odd, and several blocks long; the blocks hold whole ones of {@link
 * MaskKind#BLOCK_TOP_K}.
 */
enum InputShape {
  SELF(67, 67, 16),
  MORE_KEYS(41, 83, 24),
  MORE_QUERIES(83, 41, 16),
  /** The last query stands at the last key. */
  MORE_KEYS_AT_THE_END(41, 83, 24, CausalAlignment.BOTTOM_RIGHT),
  /** The first queries stand before the first key. */
  MORE_QUERIES_AT_THE_END(83, 41, 16, CausalAlignment.BOTTOM_RIGHT),
  /** The first 38 keys are those of the past. */
  PAST(41, 83, 32, 38),
  /** Three sequences: nothing is padding, the last keys are, all of them are. */
  PADDING(41, 83, 24, 0, 83, 50, 0);

  private final int queries;
  private final int keys;
  private final int blockTokens;
  private final CausalAlignment alignment;
  private final int past;
  private final int[] keyCounts;

  InputShape(int queries, int keys, int blockTokens) {
    this(queries, keys, blockTokens, 0);
  }

  InputShape(int queries, int keys, int blockTokens, CausalAlignment alignment) {
    this(queries, keys, blockTokens, alignment, 0);
  }

  InputShape(int queries, int keys, int blockTokens, int past, int... keyCounts) {
    this(queries, keys, blockTokens, CausalAlignment.TOP_LEFT, past, keyCounts);
  }

  InputShape(
      int queries,
      int keys,
      int blockTokens,
      CausalAlignment alignment,
      int past,
      int... keyCounts) {
    this.queries = queries;
    this.keys = keys;
    this.blockTokens = blockTokens;
    this.alignment = alignment;
    this.past = past;
    this.keyCounts = keyCounts;
  }

  int queries() {
    return queries;
  }

  /** Keys of a sequence, of the past and padding included. */
  int keys() {
    return keys;
  }

  int blockTokens() {
    return blockTokens;
  }

  CausalAlignment alignment() {
    return alignment;
  }

  int past() {
    return past;
  }

  int batch() {
    return Math.max(1, keyCounts.length);
  }

  /** [batch]: keys that are not padding; of no length where none is. */
  int[] keyCounts() {
    return keyCounts.clone();
  }

  /** Keys of a sequence that are not padding. */
  int keys(int sequence) {
    return keyCounts.length == 0 ? keys : keyCounts[sequence];
  }

  /** From a query's position in its sequence to that among the keys. */
  int offset(int sequence) {
    boolean atTheEnd = alignment == CausalAlignment.BOTTOM_RIGHT || keyCounts.length > 0;
    return atTheEnd ? keys(sequence) - queries : past;
  }
}

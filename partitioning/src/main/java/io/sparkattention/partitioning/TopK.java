package io.sparkattention.partitioning;

import java.io.Serializable;

/**
 * How many key blocks a query of a head chooses, and how large they are.
 *
 * @param count at least 1
 * @param blockTokens keys of a block, on a grid from position 0
 */
public record TopK(int count, long blockTokens) implements Serializable {
  /** More is no sparse mask; the choice is made by sorting. */
  static final int MAX_COUNT = 65_536;

  public TopK {
    if (count < 1 || count > MAX_COUNT || blockTokens < 1 || blockTokens > Block.MAX_POSITION) {
      throw new IllegalArgumentException(
          "Invalid block top-k: %d blocks of %d tokens (expected 1 to %d of 1 to 2^60)"
              .formatted(count, blockTokens, MAX_COUNT));
    }
  }
}

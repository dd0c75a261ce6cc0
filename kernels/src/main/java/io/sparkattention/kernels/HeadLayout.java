package io.sparkattention.kernels;

import java.io.Serializable;

/**
 * Numbers and sizes of the attention heads. Query head {@code h} reads key/value head {@code h /
 * (numHeads / numKeyValueHeads)} (grouped-query attention, Ainslie et al. 2023, arXiv:2305.13245);
 * keys and values are never repeated.
 *
 * @param numHeads query heads
 * @param numKeyValueHeads key/value heads, a divisor of {@code numHeads}
 * @param keyDim elements of a query and of a key, 1 to 512
 * @param valueDim elements of a value, 1 to 512; may differ from {@code keyDim}
 */
public record HeadLayout(int numHeads, int numKeyValueHeads, int keyDim, int valueDim)
    implements Serializable {
  /** The largest head size; beyond it a panel of keys leaves the second-level cache. */
  public static final int MAX_HEAD_DIM = 512;

  public HeadLayout {
    checkRange("numHeads", numHeads, Integer.MAX_VALUE);
    checkRange("numKeyValueHeads", numKeyValueHeads, numHeads);
    checkRange("keyDim", keyDim, MAX_HEAD_DIM);
    checkRange("valueDim", valueDim, MAX_HEAD_DIM);
    if (numHeads % numKeyValueHeads != 0) {
      throw new IllegalArgumentException(
          "Invalid head counts: %d query heads are not a multiple of %d key/value heads"
              .formatted(numHeads, numKeyValueHeads));
    }
  }

  /** The key/value head that query head {@code head} reads. */
  public int keyValueHead(int head) {
    return head / (numHeads / numKeyValueHeads);
  }

  private static void checkRange(String name, int value, int max) {
    if (value < 1 || value > max) {
      throw new IllegalArgumentException(
          "Invalid %s: %d (expected 1 to %d)".formatted(name, value, max));
    }
  }
}

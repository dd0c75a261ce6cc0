package io.sparkattention.kernels;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * Consecutive key/value heads with the query heads that read them: the part of all heads that one
 * task computes where heads are shared out. A block of a slice has a {@link #layout} of its own, in
 * which heads count from 0; {@link #firstHead} leads back to all heads.
 *
 * @param whole all heads
 * @param firstKeyValueHead the first one of the slice, counted in all heads
 * @param numKeyValueHeads of the slice, at least 1
 */
public record HeadSlice(HeadLayout whole, int firstKeyValueHead, int numKeyValueHeads)
    implements Serializable {
  public HeadSlice {
    if (firstKeyValueHead < 0
        || numKeyValueHeads < 1
        || numKeyValueHeads > whole.numKeyValueHeads() - firstKeyValueHead) {
      throw new IllegalArgumentException(
          "Invalid slice of heads: %d key/value heads from %d on (expected within %d)"
              .formatted(numKeyValueHeads, firstKeyValueHead, whole.numKeyValueHeads()));
    }
  }

  /** All heads. */
  public static HeadSlice whole(HeadLayout layout) {
    return new HeadSlice(layout, 0, layout.numKeyValueHeads());
  }

  /**
   * Cuts all heads into slices that differ by one key/value head at most.
   *
   * @param count slices; no more than there are key/value heads
   */
  public static List<HeadSlice> cut(HeadLayout layout, int count) {
    List<HeadSlice> slices = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int first = (int) ((long) layout.numKeyValueHeads() * i / count);
      int end = (int) ((long) layout.numKeyValueHeads() * (i + 1) / count);
      slices.add(new HeadSlice(layout, first, end - first));
    }
    return slices;
  }

  /** The heads of the slice, counted from 0. */
  public HeadLayout layout() {
    return new HeadLayout(
        numKeyValueHeads * group(), numKeyValueHeads, whole.keyDim(), whole.valueDim());
  }

  /** The first query head of the slice, counted in all heads. */
  public int firstHead() {
    return firstKeyValueHead * group();
  }

  /** Whether these are all heads. */
  public boolean isWhole() {
    return numKeyValueHeads == whole.numKeyValueHeads();
  }

  /** Query heads that read one key/value head. */
  private int group() {
    return whole.numHeads() / whole.numKeyValueHeads();
  }
}

package io.sparkattention.partitioning;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/** Which ranks visit a key block, as a number to compare: see {@link RingSchedule#runs}. */
public final class KeyVisitors {

  private KeyVisitors() {}

  /**
   * A fingerprint of the set of ranks that own a query block that sees a key of the block: 0 where
   * there are none, equal for equal sets. Different sets have different ones but for a chance of
   * 2^-64.
   *
   * @param offsets offset of each sequence, as in {@link AttentionMask}
   * @param queryRanks rank of each query block, in [0, ringSize)
   * @return [keyBlocks]
   */
  public static long[] of(
      AttentionMask mask,
      long[] offsets,
      List<Block> queryBlocks,
      int[] queryRanks,
      List<Block> keyBlocks,
      int ringSize) {
    List<List<Block>> ofRank = new ArrayList<>();
    for (int rank = 0; rank < ringSize; rank++) {
      ofRank.add(new ArrayList<>());
    }
    for (int i = 0; i < queryRanks.length; i++) {
      ofRank.get(queryRanks[i]).add(queryBlocks.get(i));
    }
    VisibleBlocks keys =
        new VisibleBlocks(mask, offsets, keyBlocks.stream().map(List::of).toList());
    long[] visitors = new long[keyBlocks.size()];
    for (int rank = 0; rank < ringSize; rank++) {
      BitSet visited = new BitSet();
      for (Block query : ofRank.get(rank)) {
        keys.forEach(query, (key, block, pairs) -> visited.set(key));
      }
      long mixed = mixed(rank + 1L);
      visited.stream().forEach(key -> visitors[key] += mixed);
    }
    return visitors;
  }

  /** The finaliser of SplitMix64 (Steele et al. 2014). */
  private static long mixed(long x) {
    long z = x * 0x9E3779B97F4A7C15L;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}

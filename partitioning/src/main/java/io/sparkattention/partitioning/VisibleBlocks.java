package io.sparkattention.partitioning;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Finds the key blocks in which a query block sees a key. Halves the keys of its sequence down to
 * single blocks, and leaves the halves whose coverage is EMPTY: the cost is that of the visible
 * blocks times the halvings to reach them, whatever the mask. The coverage alone decides; a mask
 * that listed its ranges of keys as well would have a second place to lose a key in.
 */
final class VisibleBlocks {

  /** What is told of each key block in which a query block sees a key. */
  interface Visitor {
    void visit(int run, Block key, long visiblePairs);
  }

  /** A key block and the index of its run. */
  private record Key(Block block, int run) {}

  private final AttentionMask mask;
  private final long[] offsets;

  /** In global order. */
  private final List<Key> keys = new ArrayList<>();

  VisibleBlocks(AttentionMask mask, long[] offsets, List<List<Block>> keyRuns) {
    this.mask = mask;
    this.offsets = offsets;
    for (int run = 0; run < keyRuns.size(); run++) {
      for (Block block : keyRuns.get(run)) {
        keys.add(new Key(block, run));
      }
    }
    keys.sort(
        Comparator.comparingInt((Key key) -> key.block.sequence())
            .thenComparingLong(key -> key.block.start()));
  }

  /**
   * Visits the key blocks in which a query block sees a key.
   *
   * @return the number of key blocks of its sequence, visited or not
   */
  int forEach(Block query, Visitor visitor) {
    int from = countBefore(query.sequence());
    int to = countBefore(query.sequence() + 1);
    if (from < to) {
      visit(query, from, to, visitor);
    }
    return to - from;
  }

  /** The keys of earlier sequences. */
  private int countBefore(int sequence) {
    int low = 0;
    int high = keys.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (keys.get(middle).block.sequence() < sequence) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** Visits among the keys [from, to): at least one, all of the query's sequence. */
  private void visit(Block query, int from, int to, Visitor visitor) {
    long offset = offsets[query.sequence()];
    Block first = keys.get(from).block;
    Block whole = new Block(query.sequence(), first.start(), keys.get(to - 1).block.end());
    if (mask.coverage(query, whole, offset) == Coverage.EMPTY) {
      return;
    }
    if (to - from > 1) {
      int middle = (from + to) >>> 1;
      visit(query, from, middle, visitor);
      visit(query, middle, to, visitor);
      return;
    }
    // PARTIAL may be empty after all.
    long pairs = mask.visiblePairs(query, first, offset);
    if (pairs > 0) {
      visitor.visit(keys.get(from).run, first, pairs);
    }
  }
}

package io.sparkattention.partitioning;

import java.util.Arrays;

/**
 * A mask on a grid of its own, whose lines are multiples of {@code blockTokens} from position 0:
 * the queries of a block see whole key blocks. The offset decides which block a query lies in;
 * before position 0 there is none, and no key is seen.
 */
abstract sealed class BlockMask extends AttentionMask permits BlockSparseMask, RandomBlockMask {

  final long blockTokens;

  BlockMask(long blockTokens) {
    if (blockTokens < 1 || blockTokens > Block.MAX_POSITION) {
      throw new IllegalArgumentException(
          "Invalid block size of a mask: " + blockTokens + " tokens (expected 1 to 2^60)");
    }
    this.blockTokens = blockTokens;
  }

  /** The first query block from this one on that sees a key block; MAX_VALUE if none does. */
  abstract long nextQueryBlock(long from);

  /** The key blocks that a query block sees, ascending, each once. Not to be written to. */
  abstract long[] keyBlocks(long queryBlock);

  @Override
  final Coverage coverage(Area area) {
    long firstKey = area.keyFrom() / blockTokens;
    long lastKey = (area.keyTo() - 1) / blockTokens;
    long last = lastQueryBlock(area);
    // The query block that must come next for all of them to see all keys.
    long expected = firstQueryBlock(area);
    boolean none = true;
    boolean all = true;
    for (long query = nextQueryBlock(expected); query <= last; query = nextQueryBlock(query + 1)) {
      long[] seen = keyBlocks(query);
      int count = countBelow(seen, lastKey + 1) - countBelow(seen, firstKey);
      none &= count == 0;
      all &= query == expected && count == lastKey - firstKey + 1;
      if (!none && !all) {
        return Coverage.PARTIAL;
      }
      expected = query + 1;
    }
    if (none) {
      return Coverage.EMPTY;
    }
    return expected == last + 1 ? Coverage.FULL : Coverage.PARTIAL;
  }

  /** Query block by query block. */
  @Override
  final long visiblePairs(Area area) {
    long pairs = 0;
    long last = lastQueryBlock(area);
    long query = nextQueryBlock(firstQueryBlock(area));
    for (; query <= last; query = nextQueryBlock(query + 1)) {
      long keys = 0;
      long[] seen = keyBlocks(query);
      for (int i = firstSeen(seen, area); i < seen.length && start(seen[i]) < area.keyTo(); i++) {
        keys += area.keysIn(start(seen[i]), start(seen[i] + 1));
      }
      long queries = area.queriesIn(start(query), start(query + 1));
      pairs = Math.addExact(pairs, Math.multiplyExact(queries, keys));
    }
    return pairs;
  }

  @Override
  final void show(Area area, long[] words) {
    long last = lastQueryBlock(area);
    long query = nextQueryBlock(firstQueryBlock(area));
    for (; query <= last; query = nextQueryBlock(query + 1)) {
      long[] keys = new long[area.wordsPerRow()];
      long[] seen = keyBlocks(query);
      for (int i = firstSeen(seen, area); i < seen.length && start(seen[i]) < area.keyTo(); i++) {
        area.show(keys, 0, start(seen[i]), start(seen[i] + 1));
      }
      int row = (int) (Math.max(start(query), area.queryFrom()) - area.queryFrom());
      int end = row + (int) area.queriesIn(start(query), start(query + 1));
      for (; row < end; row++) {
        area.show(words, row, keys);
      }
    }
  }

  private long start(long block) {
    return block * blockTokens;
  }

  private long firstQueryBlock(Area area) {
    return Math.floorDiv(area.queryFrom(), blockTokens);
  }

  private long lastQueryBlock(Area area) {
    return Math.floorDiv(area.queryTo() - 1, blockTokens);
  }

  private int firstSeen(long[] keyBlocks, Area area) {
    return countBelow(keyBlocks, area.keyFrom() / blockTokens);
  }

  /** The number of blocks before one, of blocks in ascending order. */
  private static int countBelow(long[] blocks, long block) {
    int found = Arrays.binarySearch(blocks, block);
    return found >= 0 ? found : -found - 1;
  }
}

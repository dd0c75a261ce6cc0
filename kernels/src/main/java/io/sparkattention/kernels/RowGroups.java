package io.sparkattention.kernels;

/**
 * Deals out the rows of a fold, head by head: to one thread in order, so that an error is that of
 * the first group that has one; to several the last rows first, which have the most work under a
 * causal mask, and in smaller groups towards the end, so that none waits long for the last one.
 */
final class RowGroups {
  /** Some rows of one head, from a strip's first row on. */
  record Group(int head, int from, int to) {}

  /** Rows of the smallest group that one thread of several gets; the last groups take 50 µs. */
  private static final int LEAST_ROWS = 4 * QueryBlock.STRIP_ROWS;

  private final int heads;
  private final int rows;
  private final int threads;
  private int head;

  /** Rows of {@link #head} that were not dealt out. */
  private int left;

  RowGroups(int heads, int rows, int threads) {
    this.heads = heads;
    this.rows = rows;
    this.threads = threads;
    this.left = rows;
  }

  /** Null when all is dealt out. */
  synchronized Group next() {
    if (left == 0) {
      head++;
      left = rows;
    }
    if (head >= heads) {
      return null;
    }
    if (threads == 1) {
      int from = rows - left;
      int to = Math.min(from + AttentionKernel.GROUP_ROWS, rows);
      left = rows - to;
      return new Group(head, from, to);
    }
    long all = (long) (heads - 1 - head) * rows + left;
    int size =
        (int) Math.min(Math.max(all / (2L * threads), LEAST_ROWS), AttentionKernel.GROUP_ROWS);
    int to = left;
    left = Math.max(0, QueryBlock.ceilDiv(to - size, QueryBlock.STRIP_ROWS));
    left *= QueryBlock.STRIP_ROWS;
    return new Group(head, left, to);
  }
}

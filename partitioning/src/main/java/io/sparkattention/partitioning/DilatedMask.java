package io.sparkattention.partitioning;

/**
 * Sees the keys of a window whose distance from the aligned position is a multiple of the step. The
 * offset moves the window and its keys.
 */
final class DilatedMask extends AttentionMask {

  private final long left;
  private final long step;
  private final long right;

  DilatedMask(long left, long step, long right) {
    this.left = Math.min(left, Area.UNBOUNDED);
    // A larger step than the largest distance reaches no second key either.
    this.step = Math.min(step, Area.UNBOUNDED);
    this.right = Math.min(right, Area.UNBOUNDED);
  }

  /** The least distance (query − key) in an area and the window; may not be a multiple. */
  private long nearest(Area area) {
    return Math.max(-right, area.queryFrom() - (area.keyTo() - 1));
  }

  /** The largest distance (query − key) in an area and the window; may not be a multiple. */
  private long farthest(Area area) {
    return Math.min(left, area.queryTo() - 1 - area.keyFrom());
  }

  @Override
  Coverage coverage(Area area) {
    long first = firstMultiple(area);
    if (first > farthest(area)) {
      return Coverage.EMPTY;
    }
    // A second distance in the area is one more or less, and no multiple of a step above 1.
    return area.queries() == 1 && area.keys() == 1 ? Coverage.FULL : Coverage.PARTIAL;
  }

  private long firstMultiple(Area area) {
    return -Math.floorDiv(-nearest(area), step) * step;
  }

  /**
   * In constant time. The pairs at distance d number g(d − a) − g(d − b) − g(d − c) + g(d − e) with
   * g(x) = max(0, x) and the distances of the area's corners.
   *
   * @throws ArithmeticException if the distances times the shorter side exceed a long
   */
  @Override
  long visiblePairs(Area area) {
    long first = firstMultiple(area);
    long farthest = farthest(area);
    if (first > farthest) {
      return 0;
    }
    long count = (farthest - first) / step + 1;
    // The terms below may exceed a long, but wrap: what they sum to is at most this.
    long unused = Math.multiplyExact(count, Math.min(area.queries(), area.keys()));
    long fromFirst = first - area.queryFrom();
    long fromEnd = first - area.queryTo();
    return ramps(fromFirst + area.keyTo(), count)
        - ramps(fromFirst + area.keyFrom(), count)
        - ramps(fromEnd + area.keyTo(), count)
        + ramps(fromEnd + area.keyFrom(), count);
  }

  /** The sum of max(0, x) over the count integers x = first, first + step, …; wraps. */
  private long ramps(long first, long count) {
    long skipped = first >= 0 ? 0 : Math.min(count, -Math.floorDiv(first, step));
    long terms = count - skipped;
    long steps = terms % 2 == 0 ? terms / 2 * (terms - 1) : (terms - 1) / 2 * terms;
    return terms * (first + skipped * step) + steps * step;
  }

  @Override
  void show(Area area, long[] words) {
    long pattern = 0;
    for (long bit = 0; bit < Long.SIZE; bit += step) {
      pattern |= 1L << bit;
    }
    int queries = (int) area.queries();
    for (int row = 0; row < queries; row++) {
      show(area, row, pattern, words);
    }
  }

  /** Word by word: a shift of the pattern begins at any key, and as many follow as fit. */
  private void show(Area area, int row, long pattern, long[] words) {
    long query = area.queryFrom() + row;
    long from = area.keysBefore(query - left);
    long end = area.keysBefore(query + right + 1);
    int start = row * area.wordsPerRow();
    long key = from + Math.floorMod(query - area.keyFrom() - from, step);
    while (key < end) {
      int bit = (int) (key % Long.SIZE);
      long keys = pattern << bit;
      if (end - key < Long.SIZE - bit) {
        keys &= -1L >>> -end;
      }
      words[start + (int) (key / Long.SIZE)] |= keys;
      key += ((Long.SIZE - 1 - bit) / step + 1) * step;
    }
  }

  @Override
  public String toString() {
    return "dilated-window:" + left + "," + step + (right == 0 ? "" : "," + right);
  }
}

package io.sparkattention.partitioning;

/**
 * Sees {@code left} keys before the aligned position and {@code right} keys after it: the full, the
 * causal and the sliding-window mask. The offset moves the band.
 */
final class BandMask extends IntervalMask {

  static final BandMask FULL = new BandMask(Area.UNBOUNDED, Area.UNBOUNDED);
  static final BandMask CAUSAL = new BandMask(Area.UNBOUNDED, 0);

  private final long left;
  private final long right;

  BandMask(long left, long right) {
    this.left = Math.min(left, Area.UNBOUNDED);
    this.right = Math.min(right, Area.UNBOUNDED);
  }

  @Override
  long firstVisible(long query) {
    return query - left;
  }

  @Override
  long lastVisible(long query) {
    return query + right;
  }

  /** In constant time. Throws if the count up to the band's right edge exceeds a long. */
  @Override
  long visiblePairs(Area area) {
    long query = area.queryFrom();
    return area.pairsBefore(lastVisible(query) + 1) - area.pairsBefore(firstVisible(query));
  }

  @Override
  public boolean unequalWork() {
    return left < Area.UNBOUNDED || right < Area.UNBOUNDED;
  }

  @Override
  public String toString() {
    if (left == Area.UNBOUNDED && right == Area.UNBOUNDED) {
      return "full";
    }
    if (left == Area.UNBOUNDED && right == 0) {
      return "causal";
    }
    return "sliding-window:" + left + (right == 0 ? "" : "," + right);
  }
}

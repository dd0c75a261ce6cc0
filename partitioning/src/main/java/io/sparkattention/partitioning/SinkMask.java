package io.sparkattention.partitioning;

/** Sees the keys [0, tokens), at any position: the offset does not matter. */
final class SinkMask extends IntervalMask {

  static final SinkMask NONE = new SinkMask(0);

  private final long tokens;

  SinkMask(long tokens) {
    this.tokens = tokens;
  }

  @Override
  long firstVisible(long query) {
    return 0;
  }

  @Override
  long lastVisible(long query) {
    return tokens - 1;
  }

  @Override
  long visiblePairs(Area area) {
    return Math.multiplyExact(area.queries(), area.keysBefore(tokens));
  }

  @Override
  public String toString() {
    return "sinks:" + tokens;
  }
}

package io.sparkattention.partitioning;

/**
 * Sees the keys of the prefix [0, tokens) and those up to the aligned position. The offset moves
 * the causal part, never the prefix.
 */
final class PrefixMask extends IntervalMask {

  private final long tokens;

  PrefixMask(long tokens) {
    this.tokens = tokens;
  }

  @Override
  long firstVisible(long query) {
    return 0;
  }

  @Override
  long lastVisible(long query) {
    return Math.max(tokens - 1, query);
  }

  /** In constant time: queries that see the prefix alone, then causal ones. */
  @Override
  long visiblePairs(Area area) {
    long queries = area.queriesIn(area.queryFrom(), tokens);
    long causalFrom = area.queryFrom() + queries;
    Area causal = new Area(causalFrom, area.queryTo(), area.keyFrom(), area.keyTo());
    return Math.addExact(
        Math.multiplyExact(queries, area.keysBefore(tokens)), causal.pairsBefore(causalFrom + 1));
  }

  @Override
  public String toString() {
    return "prefix:" + tokens;
  }
}

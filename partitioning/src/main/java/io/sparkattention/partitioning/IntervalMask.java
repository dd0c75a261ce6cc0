package io.sparkattention.partitioning;

/**
 * A mask under which a query sees the keys of one interval, neither end of which ever moves back
 * from one query to the next. Everything then follows from the corners of an area.
 *
 * <p>Of the intervals that are not empty, each begins at most one past the end of the one before
 * it: that makes {@link Coverage#EMPTY} exact.
 */
abstract sealed class IntervalMask extends AttentionMask
    permits BandMask, PrefixMask, SinkMask, DocumentMask {

  /** The first visible key position; may lie before all keys. */
  abstract long firstVisible(long query);

  /** The last visible key position, inclusive; may lie beyond all keys. */
  abstract long lastVisible(long query);

  @Override
  final Coverage coverage(Area area) {
    long first = area.queryFrom();
    long last = area.queryTo() - 1;
    if (area.keyTo() <= firstVisible(first) || area.keyFrom() > lastVisible(last)) {
      return Coverage.EMPTY;
    }
    boolean full = area.keyFrom() >= firstVisible(last) && area.keyTo() - 1 <= lastVisible(first);
    return full ? Coverage.FULL : Coverage.PARTIAL;
  }

  @Override
  final void show(Area area, long[] words) {
    int queries = (int) area.queries();
    for (int row = 0; row < queries; row++) {
      long query = area.queryFrom() + row;
      area.show(words, row, firstVisible(query), lastVisible(query) + 1);
    }
  }

  @Override
  public final boolean intervals(Block query, Block key, long offset, int[] from, int[] to) {
    Area area = Area.of(query, key, offset);
    int queries = query.tokens();
    for (int row = 0; row < queries; row++) {
      long position = area.queryFrom() + row;
      int first = (int) area.keysBefore(firstVisible(position));
      int end = (int) area.keysBefore(lastVisible(position) + 1);
      boolean empty = query.sequence() != key.sequence() || first >= end;
      from[row] = empty ? 0 : first;
      to[row] = empty ? 0 : end;
    }
    return true;
  }
}

package io.sparkattention.partitioning;

import java.util.Arrays;
import java.util.StringJoiner;

/**
 * Global tokens see all keys and are seen by all queries. A query is a global token where its
 * aligned position is one: the offset matters for queries.
 */
final class GlobalMask extends AttentionMask {

  /** [ranges]: where each range of global positions starts; ascending, with gaps between them. */
  private final long[] starts;

  /** [ranges]: one past the last position of each. */
  private final long[] ends;

  /** [ranges]: the number of global positions before each. */
  private final long[] before;

  private GlobalMask(long[] starts, long[] ends) {
    this.starts = starts;
    this.ends = ends;
    before = new long[starts.length];
    for (int i = 1; i < starts.length; i++) {
      before[i] = before[i - 1] + ends[i - 1] - starts[i - 1];
    }
  }

  /** The global tokens [0, tokens). */
  static GlobalMask first(long tokens) {
    return tokens == 0
        ? new GlobalMask(new long[0], new long[0])
        : new GlobalMask(new long[] {0}, new long[] {tokens});
  }

  /** Global tokens at positions in any order. */
  static GlobalMask at(long[] positions) {
    long[] sorted = Arrays.stream(positions).sorted().distinct().toArray();
    long[] starts = new long[sorted.length];
    long[] ends = new long[sorted.length];
    int ranges = 0;
    for (long position : sorted) {
      if (ranges == 0 || position > ends[ranges - 1]) {
        starts[ranges++] = position;
      }
      ends[ranges - 1] = position + 1;
    }
    return new GlobalMask(Arrays.copyOf(starts, ranges), Arrays.copyOf(ends, ranges));
  }

  /** The index of the last range that starts at or before a position, −1 if none does. */
  private int range(long position) {
    int found = Arrays.binarySearch(starts, position);
    return found >= 0 ? found : -found - 2;
  }

  private long countBefore(long position) {
    int range = range(position);
    return range < 0 ? 0 : before[range] + Math.min(position, ends[range]) - starts[range];
  }

  private long count(long from, long to) {
    return countBefore(to) - countBefore(from);
  }

  /** Whether these are the first tokens, which are a number, not a list. */
  private boolean areFirst() {
    return starts.length == 0 || (starts.length == 1 && starts[0] == 0);
  }

  @Override
  public long namedEnd() {
    return areFirst() ? 0 : ends[ends.length - 1];
  }

  @Override
  Coverage coverage(Area area) {
    long queries = count(area.queryFrom(), area.queryTo());
    long keys = count(area.keyFrom(), area.keyTo());
    if (queries == 0 && keys == 0) {
      return Coverage.EMPTY;
    }
    boolean full = queries == area.queries() || keys == area.keys();
    return full ? Coverage.FULL : Coverage.PARTIAL;
  }

  /** All keys of the global queries, and the global keys of the others. */
  @Override
  long visiblePairs(Area area) {
    long queries = count(area.queryFrom(), area.queryTo());
    long keys = count(area.keyFrom(), area.keyTo());
    return Math.addExact(
        Math.multiplyExact(queries, area.keys()),
        Math.multiplyExact(area.queries() - queries, keys));
  }

  @Override
  void show(Area area, long[] words) {
    long[] keys = new long[area.wordsPerRow()];
    int first = Math.max(0, range(area.keyFrom()));
    for (int i = first; i < starts.length && starts[i] < area.keyTo(); i++) {
      area.show(keys, 0, starts[i], ends[i]);
    }
    int queries = (int) area.queries();
    for (int row = 0; row < queries; row++) {
      long query = area.queryFrom() + row;
      if (count(query, query + 1) == 1) {
        area.show(words, row, area.keyFrom(), area.keyTo());
      } else {
        area.show(words, row, keys);
      }
    }
  }

  @Override
  public String toString() {
    if (areFirst()) {
      return "global:" + (starts.length == 0 ? 0 : ends[0]);
    }
    StringJoiner text = new StringJoiner(",", "global-positions:", "");
    for (int i = 0; i < starts.length; i++) {
      for (long position = starts[i]; position < ends[i]; position++) {
        text.add(Long.toString(position));
      }
    }
    return text.toString();
  }
}

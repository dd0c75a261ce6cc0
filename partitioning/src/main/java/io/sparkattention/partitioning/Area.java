package io.sparkattention.partitioning;

import java.util.Arrays;

/**
 * A rectangle of (query, key) positions, the queries already aligned with the keys: query positions
 * [queryFrom, queryTo), which may be negative, and key positions [keyFrom, keyTo). What the kinds
 * of masks are computed on; they see neither sequences nor offsets.
 *
 * <p>Words of an area are [queries, {@link #wordsPerRow}], as in {@link AttentionMask#visible}.
 */
record Area(long queryFrom, long queryTo, long keyFrom, long keyTo, BlockSelection selection) {
  /** Where nothing was chosen, all could be. */
  static final BlockSelection EVERY_BLOCK = (row, keyBlock) -> true;

  /**
   * A position beyond all others. Four times the largest position: no sum of two positions, an
   * offset and this overflows, so that unbounded sides need no case of their own.
   */
  static final long UNBOUNDED = 4 * Block.MAX_POSITION;

  Area(long queryFrom, long queryTo, long keyFrom, long keyTo) {
    this(queryFrom, queryTo, keyFrom, keyTo, EVERY_BLOCK);
  }

  /** The same positions, where these blocks were chosen. */
  Area under(BlockSelection chosen) {
    return new Area(queryFrom, queryTo, keyFrom, keyTo, chosen);
  }

  static Area of(Block query, Block key, long offset) {
    if (offset < -Block.MAX_POSITION || offset > Block.MAX_POSITION) {
      throw new IllegalArgumentException(
          "Invalid offset: " + offset + " (expected -2^60 <= offset <= 2^60)");
    }
    return new Area(query.start() + offset, query.end() + offset, key.start(), key.end());
  }

  long queries() {
    return queryTo - queryFrom;
  }

  long keys() {
    return keyTo - keyFrom;
  }

  /**
   * All pairs, visible or not.
   *
   * @throws ArithmeticException if they exceed a long
   */
  long pairs() {
    return Math.multiplyExact(queries(), keys());
  }

  /** The number of queries at positions in [from, to). */
  long queriesIn(long from, long to) {
    return Math.max(0, Math.min(to, queryTo) - Math.max(from, queryFrom));
  }

  /** The number of keys at positions in [from, to). */
  long keysIn(long from, long to) {
    return Math.max(0, Math.min(to, keyTo) - Math.max(from, keyFrom));
  }

  /** The number of keys before a position: the row of the key there, clamped to [0, keys]. */
  long keysBefore(long position) {
    return clamp(position - keyFrom, keys());
  }

  /**
   * The number of pairs whose key lies before an edge, which is at {@code edge} for the first query
   * and moves by one position from query to query.
   *
   * @throws ArithmeticException if it exceeds a long
   */
  long pairsBefore(long edge) {
    // The sum of x clamped to [0, limit] over the integers x in [first, end).
    long limit = keys();
    long first = edge - keyFrom;
    long end = first + queries();
    long rampStart = clamp(first, limit);
    long rampEnd = clamp(end, limit);
    long ramp = rampEnd - rampStart;
    // The sum over the ramp is ramp · ends / 2, and one of the two is even or the ramp is empty.
    long ends = rampStart + rampEnd - 1;
    long rising =
        ramp % 2 == 0 ? Math.multiplyExact(ramp / 2, ends) : Math.multiplyExact(ramp, ends / 2);
    long saturated = Math.max(0, end - Math.max(first, limit));
    return Math.addExact(rising, Math.multiplyExact(saturated, limit));
  }

  private static long clamp(long value, long limit) {
    return Math.max(0, Math.min(value, limit));
  }

  /** The part before {@link #secondHalf}: of the longer side, which is longer than 1. */
  Area firstHalf() {
    return queries() > keys()
        ? new Area(queryFrom, middle(queryFrom, queryTo), keyFrom, keyTo)
        : new Area(queryFrom, queryTo, keyFrom, middle(keyFrom, keyTo));
  }

  Area secondHalf() {
    return queries() > keys()
        ? new Area(middle(queryFrom, queryTo), queryTo, keyFrom, keyTo)
        : new Area(queryFrom, queryTo, middle(keyFrom, keyTo), keyTo);
  }

  /**
   * The multiple of the largest power of two in (from, to), so that halves of halves fall on the
   * lines of grids, whose blocks mostly have powers of two.
   */
  private static long middle(long from, long to) {
    int shift = Long.SIZE - 1 - Long.numberOfLeadingZeros(from ^ (to - 1));
    return (to - 1) >> shift << shift;
  }

  int wordsPerRow() {
    return Math.toIntExact((keys() + Long.SIZE - 1) / Long.SIZE);
  }

  /** The length of words of this area. */
  int words() {
    return Math.multiplyExact(Math.toIntExact(queries()), wordsPerRow());
  }

  /** Sets the bits of the keys at positions in [from, to) in a row, where there are any. */
  void show(long[] words, int row, long from, long to) {
    int first = (int) keysBefore(from);
    int end = (int) keysBefore(to);
    if (first >= end) {
      return;
    }
    int start = row * wordsPerRow();
    int firstWord = start + first / Long.SIZE;
    int lastWord = start + (end - 1) / Long.SIZE;
    // A shift takes the lowest six bits of its amount: what is left of it within a word.
    long head = -1L << first;
    long tail = -1L >>> -end;
    if (firstWord == lastWord) {
      words[firstWord] |= head & tail;
    } else {
      words[firstWord] |= head;
      Arrays.fill(words, firstWord + 1, lastWord, -1L);
      words[lastWord] |= tail;
    }
  }

  /** Sets in a row the bits that are set in {@code keys}, which is [wordsPerRow]. */
  void show(long[] words, int row, long[] keys) {
    int start = row * keys.length;
    for (int i = 0; i < keys.length; i++) {
      words[start + i] |= keys[i];
    }
  }
}

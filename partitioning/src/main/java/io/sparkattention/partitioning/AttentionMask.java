package io.sparkattention.partitioning;

import java.io.Serializable;

/**
 * Which keys a query sees: the query at position p sees the keys at positions p + offset − left … p
 * + offset + right, inclusive. The offset aligns queries with keys (see {@link CausalAlignment}).
 * {@code full} is unbounded on both sides, {@code causal} on the left with right 0, and {@code
 * sliding-window} names both.
 *
 * <p>Blocks of different sequences never see each other. Offsets are at most {@link
 * Block#MAX_POSITION} in absolute value; a larger one is an {@link IllegalArgumentException}.
 */
public final class AttentionMask implements Serializable {

  /**
   * A window size that reaches beyond every key. Four times the largest position: no sum of two
   * positions, an offset and a window size overflows, so that unbounded sides need no case of their
   * own.
   */
  private static final long UNBOUNDED = 4 * Block.MAX_POSITION;

  private static final String WINDOW_PREFIX = "sliding-window:";
  private static final AttentionMask FULL = new AttentionMask(UNBOUNDED, UNBOUNDED);
  private static final AttentionMask CAUSAL = new AttentionMask(UNBOUNDED, 0);

  private final long left;
  private final long right;

  private AttentionMask(long left, long right) {
    this.left = Math.min(left, UNBOUNDED);
    this.right = Math.min(right, UNBOUNDED);
  }

  /** Every query sees every key. */
  public static AttentionMask full() {
    return FULL;
  }

  /** A query sees the key it is aligned with and all keys before it. */
  public static AttentionMask causal() {
    return CAUSAL;
  }

  /**
   * A query sees the key it is aligned with, {@code left} keys before it and {@code right} keys
   * after it. A side of 2^62 or more is unbounded: the window may then equal {@link #causal} or
   * {@link #full}.
   *
   * @throws IllegalArgumentException if a side is negative
   */
  public static AttentionMask slidingWindow(long left, long right) {
    if (left < 0 || right < 0) {
      throw new IllegalArgumentException(
          "Invalid sliding window: left " + left + ", right " + right + " (expected >= 0)");
    }
    return new AttentionMask(left, right);
  }

  /**
   * Reads {@code full}, {@code causal} or {@code sliding-window:LEFT[,RIGHT]}, RIGHT being 0 where
   * it is absent.
   *
   * @throws IllegalArgumentException for any other text
   */
  public static AttentionMask parse(String text) {
    if (text.equals("full")) {
      return FULL;
    }
    if (text.equals("causal")) {
      return CAUSAL;
    }
    if (text.startsWith(WINDOW_PREFIX)) {
      String[] sides = text.substring(WINDOW_PREFIX.length()).split(",", -1);
      if (sides.length <= 2) {
        long left = parseSide(text, "LEFT", sides[0]);
        return slidingWindow(left, sides.length == 1 ? 0 : parseSide(text, "RIGHT", sides[1]));
      }
    }
    throw new IllegalArgumentException(
        "Invalid mask: '" + text + "' (expected full, causal or sliding-window:LEFT[,RIGHT])");
  }

  private static long parseSide(String text, String side, String value) {
    // Not parseLong alone: it takes a sign and the digits of other scripts.
    if (value.matches("[0-9]+")) {
      try {
        return Long.parseLong(value);
      } catch (NumberFormatException e) {
        // More digits than a long has.
      }
    }
    throw new IllegalArgumentException(
        "Invalid mask: '"
            + text
            + "' ("
            + side
            + " is '"
            + value
            + "', expected a whole number from 0 to "
            + Long.MAX_VALUE
            + ")");
  }

  /** What the mask leaves of a pair of blocks, from their corners alone. */
  public Coverage coverage(Block query, Block key, long offset) {
    if (query.sequence() != key.sequence()
        || key.end() <= firstVisible(query.start(), offset)
        || key.start() > lastVisible(query.end() - 1, offset)) {
      return Coverage.EMPTY;
    }
    boolean full =
        key.start() >= firstVisible(query.end() - 1, offset)
            && key.end() - 1 <= lastVisible(query.start(), offset);
    return full ? Coverage.FULL : Coverage.PARTIAL;
  }

  /**
   * The number of visible (query, key) pairs, in constant time. Either block may be a whole
   * sequence.
   *
   * @throws ArithmeticException if the count up to the band's right edge exceeds a long
   */
  public long visiblePairs(Block query, Block key, long offset) {
    if (query.sequence() != key.sequence()) {
      return 0;
    }
    long queries = query.end() - query.start();
    long keys = key.end() - key.start();
    // Of the first query: key rows before its first visible one, and up to its last visible one.
    long before = firstVisible(query.start(), offset) - key.start();
    long upTo = lastVisible(query.start(), offset) + 1 - key.start();
    return clampedSum(upTo, queries, keys) - clampedSum(before, queries, keys);
  }

  /** The sum of x clamped to [0, limit] over the integers x in [first, first + count). */
  private static long clampedSum(long first, long count, long limit) {
    long end = first + count;
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

  /**
   * The visible keys of each query as intervals of local rows: query row r sees the key rows
   * [from[r], to[r]); one that sees none gets [0, 0).
   *
   * @param from written at [0, query.tokens())
   * @param to written at [0, query.tokens())
   */
  public void visibleKeys(Block query, Block key, long offset, int[] from, int[] to) {
    int queries = query.tokens();
    int keys = query.sequence() == key.sequence() ? key.tokens() : 0;
    long before = firstVisible(query.start(), offset) - key.start();
    long upTo = lastVisible(query.start(), offset) + 1 - key.start();
    for (int row = 0; row < queries; row++) {
      int first = (int) clamp(before + row, keys);
      int end = (int) clamp(upTo + row, keys);
      boolean empty = first == end;
      from[row] = empty ? 0 : first;
      to[row] = empty ? 0 : end;
    }
  }

  /** Whether rows see different numbers of keys by design: of every mask but {@link #full}. */
  public boolean unequalWork() {
    return !equals(FULL);
  }

  /** The position of the first key that a query sees; may lie before all keys. */
  long firstVisible(long position, long offset) {
    return aligned(position, offset) - left;
  }

  /** The position of the last key that a query sees; may lie beyond all keys. */
  long lastVisible(long position, long offset) {
    return aligned(position, offset) + right;
  }

  private static long aligned(long position, long offset) {
    if (offset < -Block.MAX_POSITION || offset > Block.MAX_POSITION) {
      throw new IllegalArgumentException(
          "Invalid offset: " + offset + " (expected -2^60 <= offset <= 2^60)");
    }
    return position + offset;
  }

  private static long clamp(long value, long limit) {
    return Math.max(0, Math.min(value, limit));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof AttentionMask mask && left == mask.left && right == mask.right;
  }

  @Override
  public int hashCode() {
    return 31 * Long.hashCode(left) + Long.hashCode(right);
  }

  /** The form that {@link #parse} accepts. */
  @Override
  public String toString() {
    if (equals(FULL)) {
      return "full";
    }
    if (equals(CAUSAL)) {
      return "causal";
    }
    return WINDOW_PREFIX + left + (right == 0 ? "" : "," + right);
  }
}

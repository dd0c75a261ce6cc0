package io.sparkattention.kernels;

/**
 * Which keys of one block each query row of another sees: everything, an interval for each row, or
 * any set as bits. The form does not touch the result. Immutable as long as its arrays are.
 */
public final class VisibleKeys {
  private static final VisibleKeys ALL = new VisibleKeys(null, null, null, 0, 0);

  /** [query rows], or null where the rows are not intervals. */
  private final int[] from;

  private final int[] to;

  /** [query rows, wordsPerRow], for each head or for all, or null where they are not bits. */
  private final long[] words;

  private final int wordsPerRow;

  /** Rows of {@link #words} for each head; 0: the same rows for all. */
  private final int rowsPerHead;

  private VisibleKeys(int[] from, int[] to, long[] words, int wordsPerRow, int rowsPerHead) {
    this.from = from;
    this.to = to;
    this.words = words;
    this.wordsPerRow = wordsPerRow;
    this.rowsPerHead = rowsPerHead;
  }

  /** Every query sees every key. */
  public static VisibleKeys all() {
    return ALL;
  }

  /**
   * Query row r sees the key rows [from[r], to[r]). Where it says enough, better than bits, which
   * for two blocks of 2048 tokens are 512 KiB to be read for each head: 2 % of a causal diagonal.
   *
   * @param from [query rows]; not copied
   * @param to [query rows]; not copied
   */
  public static VisibleKeys ofIntervals(int[] from, int[] to) {
    return new VisibleKeys(from, to, null, 0, 0);
  }

  /**
   * @param words [query rows, wordsPerRow]; bit j of word w of a row says whether key row 64 w + j
   *     is seen; not copied
   * @param wordsPerRow keys / 64, rounded up
   */
  public static VisibleKeys ofBits(long[] words, int wordsPerRow) {
    return new VisibleKeys(null, null, words, wordsPerRow, 0);
  }

  /**
   * Bits that differ between the query heads.
   *
   * @param words [numHeads, query rows, wordsPerRow], as above
   */
  public static VisibleKeys ofHeadBits(long[] words, int rows, int wordsPerRow) {
    return new VisibleKeys(null, null, words, wordsPerRow, rows);
  }

  /** Whether this can be the visible keys of so many heads, query rows and keys. */
  boolean fits(int heads, int rows, int keys) {
    if (words != null) {
      long needed = rowsPerHead == 0 ? rows : (long) heads * rows;
      return wordsPerRow == QueryBlock.ceilDiv(keys, Long.SIZE)
          && (rowsPerHead == 0 || rowsPerHead == rows)
          && words.length >= needed * wordsPerRow;
    }
    return from == null || from.length >= rows && to.length >= rows;
  }

  /**
   * The panels of which some row of a strip sees a key, or a few more: bit p for panel {@code first
   * + p}.
   *
   * @param head the query head
   * @param row the first of {@code rows} rows
   * @param panels panels from {@code first} on, at most 31
   * @param keys keys in all
   */
  int touched(int head, int row, int rows, int first, int panels, int keys) {
    if (words != null) {
      int touched = 0;
      for (int p = 0; p < panels; p++) {
        long any = 0;
        for (int r = row; r < row + rows; r++) {
          any |= words[wordOf(head, r, first + p)];
        }
        touched |= any != 0 ? 1 << p : 0;
      }
      return touched;
    }
    if (from == null) {
      return (1 << panels) - 1;
    }
    int least = keys;
    int most = 0;
    for (int r = row; r < row + rows; r++) {
      if (from[r] < to[r]) {
        least = Math.min(least, from[r]);
        most = Math.max(most, to[r]);
      }
    }
    most = Math.min(most, keys);
    return least >= most
        ? 0
        : (int) bits(least / Long.SIZE - first, (most - 1) / Long.SIZE + 1 - first)
            & (1 << panels) - 1;
  }

  /** Those of which every row of the strip sees all 64 keys; the parameters as above. */
  int whole(int head, int row, int rows, int first, int panels, int keys) {
    int whole = (1 << Math.min(panels, keys / Long.SIZE - first)) - 1;
    if (words != null) {
      for (int p = 0; p < panels; p++) {
        long every = -1;
        for (int r = row; r < row + rows; r++) {
          every &= words[wordOf(head, r, first + p)];
        }
        whole &= every == -1 ? -1 : ~(1 << p);
      }
    } else if (from != null) {
      int most = 0;
      int least = keys;
      for (int r = row; r < row + rows; r++) {
        most = Math.max(most, from[r]);
        least = Math.min(least, to[r]);
      }
      whole &= (int) bits(QueryBlock.ceilDiv(most, Long.SIZE) - first, least / Long.SIZE - first);
    }
    return whole;
  }

  /** The bits of the 64 keys of a panel, of {@code keys} in all; those beyond are 0. */
  long word(int head, int row, int panel, int keys) {
    int first = panel * Long.SIZE;
    if (words != null) {
      return words[wordOf(head, row, panel)] & bits(0, keys - first);
    }
    return from == null
        ? bits(0, keys - first)
        : bits(from[row] - first, Math.min(to[row], keys) - first);
  }

  private int wordOf(int head, int row, int panel) {
    return (head * rowsPerHead + row) * wordsPerRow + panel;
  }

  /** The bits [from, to) of a word, of which either may lie outside. */
  private static long bits(int from, int to) {
    int first = Math.max(from, 0);
    int end = Math.min(to, Long.SIZE);
    return first < end ? -1L >>> (Long.SIZE - end + first) << first : 0;
  }
}

package io.sparkattention.kernels;

/**
 * Which keys of one block each query row of another sees: everything, an interval for each row, or
 * any set as bits. The form does not touch the result. Immutable as long as its arrays are.
 */
public final class VisibleKeys {
  private static final int CUT_PANELS = AttentionKernel.INNER_KEYS / KeyValueBlock.PANEL_KEYS;
  private static final int WHOLE_SHIFT = 16;

  private static final VisibleKeys ALL = new VisibleKeys(null, null, null, 0, 0);

  /** [query rows], or null where the rows are not intervals. */
  private final int[] from;

  private final int[] to;

  /** [query rows, wordsPerRow], for each head or for all, or null where they are not bits. */
  private final long[] words;

  private final int wordsPerRow;

  /** Rows of {@link #words} for each head; 0: the same rows for all. */
  private final int rowsPerHead;

  /**
   * [heads or 1, strips, inner cuts]: of the panels of an inner cut those that some row of a strip
   * touches in the lower bits, those that every row sees whole in the upper ones. Read for each
   * head, where the bits themselves would take a third of the time under a sparse mask.
   */
  private final int[] summary;

  private VisibleKeys(int[] from, int[] to, long[] words, int wordsPerRow, int rowsPerHead) {
    this.from = from;
    this.to = to;
    this.words = words;
    this.wordsPerRow = wordsPerRow;
    this.rowsPerHead = rowsPerHead;
    this.summary = words == null ? null : summarise();
  }

  /** A row's inner cuts. */
  private int cuts() {
    return QueryBlock.ceilDiv(wordsPerRow, CUT_PANELS);
  }

  /** Rows of {@link #words}, of each head or of all. */
  private int rows() {
    return rowsPerHead == 0 ? words.length / wordsPerRow : rowsPerHead;
  }

  private int[] summarise() {
    int strips = QueryBlock.ceilDiv(rows(), QueryBlock.STRIP_ROWS);
    int heads = rowsPerHead == 0 ? 1 : words.length / (rowsPerHead * wordsPerRow);
    int[] summary = new int[heads * strips * cuts()];
    for (int head = 0; head < heads; head++) {
      for (int strip = 0; strip < strips; strip++) {
        for (int panel = 0; panel < wordsPerRow; panel++) {
          summary[summaryOf(head, strip, panel)] |= summaryOfPanel(head, strip, panel);
        }
      }
    }
    return summary;
  }

  private int summaryOf(int head, int strip, int panel) {
    int strips = QueryBlock.ceilDiv(rows(), QueryBlock.STRIP_ROWS);
    return ((rowsPerHead == 0 ? 0 : head * strips) + strip) * cuts() + panel / CUT_PANELS;
  }

  private int summaryOfPanel(int head, int strip, int panel) {
    long any = 0;
    long every = -1;
    int first = strip * QueryBlock.STRIP_ROWS;
    for (int row = first; row < Math.min(first + QueryBlock.STRIP_ROWS, rows()); row++) {
      long word = words[wordOf(head, row, panel)];
      any |= word;
      every &= word;
    }
    int bit = 1 << panel % CUT_PANELS;
    return (any != 0 ? bit : 0) | (every == -1 ? bit << WHOLE_SHIFT : 0);
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
   * @param row the first of {@code rows} rows, the first of a strip
   * @param first the first panel of an inner cut
   * @param panels panels from {@code first} on, of that cut
   * @param keys keys in all
   */
  int touched(int head, int row, int rows, int first, int panels, int keys) {
    if (words != null) {
      int touched = 0;
      for (int r = row; r < row + rows; r += QueryBlock.STRIP_ROWS) {
        touched |= summary[summaryOf(head, r / QueryBlock.STRIP_ROWS, first)];
      }
      return touched & (1 << panels) - 1;
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

  /** Those of which every row of one strip sees all 64 keys; the parameters as above. */
  int whole(int head, int row, int rows, int first, int panels, int keys) {
    int whole = (1 << Math.min(panels, keys / Long.SIZE - first)) - 1;
    if (words != null) {
      whole &= summary[summaryOf(head, row / QueryBlock.STRIP_ROWS, first)] >> WHOLE_SHIFT;
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

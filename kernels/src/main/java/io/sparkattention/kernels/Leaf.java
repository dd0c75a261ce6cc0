package io.sparkattention.kernels;

import static io.sparkattention.kernels.AttentionKernel.GROUP_ROWS;
import static io.sparkattention.kernels.AttentionKernel.INNER_KEYS;
import static io.sparkattention.kernels.AttentionKernel.LANES;
import static io.sparkattention.kernels.AttentionKernel.PANEL_KEYS;
import static io.sparkattention.kernels.AttentionKernel.SCORE_STRIDE;
import static io.sparkattention.kernels.AttentionKernel.STRIP_ROWS;

import java.util.Arrays;

/**
 * Scratch of one thread of a fold: the leaves (m, ℓ, O) of a group of rows, and the scores of a
 * strip of them against one inner cut with what the strip sees of its panels.
 */
final class Leaf {
  /** The reference of a row that has seen no key. */
  static final float NONE = Float.NEGATIVE_INFINITY;

  static final int INNER_PANELS = INNER_KEYS / PANEL_KEYS;

  final InnerPanels panels;

  /** Value columns, padded. */
  final int columns;

  /** [GROUP_ROWS]: m. */
  final float[] references = new float[GROUP_ROWS];

  /** [GROUP_ROWS, 16]: ℓ. */
  final float[] sums = new float[GROUP_ROWS * LANES];

  /** [GROUP_ROWS, columns]: O. */
  final float[] output;

  /** [6, SCORE_STRIDE]: S, then P; key j of the inner cut at column j. */
  final float[] scores = new float[STRIP_ROWS * SCORE_STRIDE];

  /** [6, 16]: sums of P of the inner cut, which begin at 0 as those of PV do, for the accuracy. */
  final float[] added = new float[STRIP_ROWS * LANES];

  final float[] maxima = new float[STRIP_ROWS * LANES];

  /** [6]: rowmax S, and then what is subtracted from the scores of the row. */
  final float[] shift = new float[STRIP_ROWS];

  /** [512]: biases of one row. */
  final float[] bias = new float[INNER_KEYS];

  private final BlockPair pair;

  /**
   * The strip's rows are [firstRow, rowEnd) of {@code head}, the inner cut's panels from firstPanel
   * on.
   */
  private int head;

  private int firstRow;
  private int rowEnd;
  private int firstPanel;

  /** Bit p: whether any row of the strip sees any key of panel p of the inner cut. */
  private int touched;

  /** Bit p: whether every row sees every key of panel p. */
  private int full;

  Leaf(BlockPair pair) {
    this.pair = pair;
    this.panels = new InnerPanels(pair.keys());
    this.columns = KeyValueBlock.paddedColumns(pair.keys().layout().valueDim());
    this.output = new float[GROUP_ROWS * columns];
  }

  /** Forgets the leaves of the group before, for {@code rows} rows and those that pad a strip. */
  void clear(int rows) {
    int padded = QueryBlock.ceilDiv(rows, STRIP_ROWS) * STRIP_ROWS;
    Arrays.fill(references, 0, padded, NONE);
    Arrays.fill(sums, 0, padded * LANES, 0f);
    Arrays.fill(output, 0, padded * columns, 0f);
  }

  /**
   * Looks at what the strip of {@code row} sees of an inner cut. Rows beyond the block are not
   * asked.
   *
   * @return whether it sees anything
   */
  boolean look(int head, int row, int inner) {
    this.head = head;
    this.firstRow = row;
    this.rowEnd = Math.min(row + STRIP_ROWS, pair.queries().rows());
    this.firstPanel = inner / PANEL_KEYS;
    VisibleKeys visible = pair.visible();
    int keys = pair.keys().keys();
    int count = QueryBlock.ceilDiv(Math.min(INNER_KEYS, keys - inner), PANEL_KEYS);
    touched = visible.touched(head, row, rowEnd - row, firstPanel, count, keys);
    full = visible.whole(head, row, rowEnd - row, firstPanel, count, keys);
    return touched != 0;
  }

  /** Whether any row of the strip sees any key of the panel; not beyond the inner cut. */
  boolean touches(int panel) {
    return (touched >> panel & 1) != 0;
  }

  /** Whether every row of the strip sees every key of the panel. */
  boolean seesWhole(int panel) {
    return (full >> panel & 1) != 0;
  }

  /** The first panel from {@code panel} on that the strip touches, or one beyond the inner cut. */
  int nextTouched(int panel) {
    int later = touched >> panel << panel;
    return later == 0 ? INNER_PANELS : Integer.numberOfTrailingZeros(later);
  }

  /** The end of the panels from {@code panel} on that the strip touches without a gap. */
  int endOfTouched(int panel) {
    return Integer.numberOfTrailingZeros(~touched >> panel << panel);
  }

  /** The end of those that are seen whole, as {@code panel} is, or only in part, as it is. */
  int endOfRun(int panel) {
    int others = seesWhole(panel) ? ~full : ~touched | full;
    return Integer.numberOfTrailingZeros(others >> panel << panel);
  }

  /** Whether every row sees every key of the panels [from, to). */
  boolean seesWhole(int from, int to) {
    int asked = (1 << to) - (1 << from);
    return (full & asked) == asked;
  }

  /** Bits of the keys of a panel that row r of the strip sees; a row beyond the block sees none. */
  long word(int r, int panel) {
    int row = firstRow + r;
    return row < rowEnd
        ? pair.visible().word(head, row, firstPanel + panel, pair.keys().keys())
        : 0;
  }

  /** ℓ = ℓ + rowsum P. */
  void addSums(int leafRow) {
    for (int i = 0; i < added.length; i++) {
      sums[leafRow * LANES + i] += added[i];
    }
  }

  /** O = αO, ℓ = αℓ. Apart from PV, since a row's reference seldom moves. */
  void rescale(int leafRow, float alpha) {
    for (int i = leafRow * columns; i < (leafRow + 1) * columns; i++) {
      output[i] *= alpha;
    }
    for (int i = leafRow * LANES; i < (leafRow + 1) * LANES; i++) {
      sums[i] *= alpha;
    }
  }

  /** Refuses visible scores of panels [from, to) that are not finite or too large. */
  void checkScores(int from, int to) {
    for (int r = 0; r < STRIP_ROWS; r++) {
      for (int key = from * PANEL_KEYS; key < to * PANEL_KEYS; key++) {
        if ((word(r, key / PANEL_KEYS) >> key & 1) != 0) {
          checkScore(r, scores[r * SCORE_STRIDE + key]);
        }
      }
    }
  }

  /**
   * Refuses transformed scores: not finite or too large where they are the largest of a row, −∞ if
   * all of a row's are. The others weigh 0 then, or less than a biased score can tell.
   */
  void checkMaxima() {
    for (int r = 0; r < STRIP_ROWS; r++) {
      if (shift[r] != NONE) {
        checkScore(r, shift[r]);
      }
    }
  }

  private void checkScore(int r, float score) {
    float inLog2 = score * pair.queries().unit();
    if (!(Math.abs(inLog2) < AttentionKernel.MAX_SCORE)) {
      throw new InvalidElementException(
          "score", head, firstRow + r, inLog2, "finite and below 2^22 in log2 units");
    }
  }

  /** The row sum: a fixed tree over the lanes. */
  float denominator(int leafRow) {
    int offset = leafRow * LANES;
    for (int width = LANES / 2; width > 0; width /= 2) {
      for (int lane = 0; lane < width; lane++) {
        sums[offset + lane] += sums[offset + lane + width];
      }
    }
    return sums[offset];
  }
}

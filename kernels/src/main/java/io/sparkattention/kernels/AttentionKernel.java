package io.sparkattention.kernels;

import java.util.Arrays;

/**
 * Folds one key/value block into an attention state.
 *
 * <p>The loops are those of FlashAttention-2 (Dao 2023, arXiv:2307.08691, algorithm 1): for each
 * strip of queries S = QKᵀ, the running row maximum, P = exp(S − m), the row sums and O = diag(α)O
 * + PV. Exponentials are powers of two, and PV of {@value #VALUE_KEYS} keys is summed from zero
 * before it is added to O.
 *
 * <p>Everything that decides bits is fixed here: the inner cut of {@value #INNER_KEYS} keys counted
 * from the block's first key, the {@value #LANES} virtual lanes of the row sums (key j goes to lane
 * j mod 16), ascending order over the head dimension in QKᵀ and over the keys in PV, fused
 * multiply-adds throughout. A masked key weighs exactly +0. So a leaf (one row, one key block)
 * depends on the set of visible keys only, and all kernels give the same bits.
 */
public abstract class AttentionKernel {
  /**
   * Keys of the inner cut: K and V of 512 keys × 64 are 256 KiB and stay in the second-level cache
   * while {@link #GROUP_ROWS} queries pass over them; neighbours (256, 1024) are equal within
   * noise.
   */
  public static final int INNER_KEYS = 512;

  /**
   * Keys whose PV is summed from zero before it is added to O. The error of a float32 sum grows
   * with its length: with unit-normal inputs it was 2.0e-8 in the mean with 512 keys, 1.7e-8 with
   * 256 and 1.4e-8 with 128. Halving it costs just under 1 % of the time each time.
   */
  static final int VALUE_KEYS = 128;

  /** Virtual lanes of the row sums: the lanes of the widest vector, AVX-512. */
  static final int LANES = 16;

  /**
   * Query rows between two visits of the same inner block. Float32 panels run equally fast with 96
   * to 384; 16-bit ones are unpacked once per visit, which took 3 to 4 % of the time with 128 rows,
   * 2 % with 256 and 1.5 to 2 % with 384. A multiple of the strip.
   */
  static final int GROUP_ROWS = 264;

  /** Distance of two score rows; 16 more than the keys keeps the six rows out of one cache set. */
  static final int SCORE_STRIDE = INNER_KEYS + 16;

  static final int STRIP_ROWS = QueryBlock.STRIP_ROWS;
  static final int PANEL_KEYS = KeyValueBlock.PANEL_KEYS;

  /** Scores in log2 units stay below this, so that exponents are exact and far from overflow. */
  static final float MAX_SCORE = 1 << 22;

  /** The reference of a row that has seen no key. */
  private static final float NONE = Float.NEGATIVE_INFINITY;

  /** The kernel's name in logs and reports, for example {@code vector-512}. */
  public abstract String name();

  /**
   * Scores of one strip against whole key panels: {@code scores[r, j] = Σ_d q[d, r] · k[d, j]}.
   *
   * @param q [keyDim, 6] from {@code qOffset} on
   * @param k [panels, keyDim, 64] from {@code kOffset} on
   * @param scores [6, SCORE_STRIDE]; row r is written from {@code r · SCORE_STRIDE} on
   * @param maxima [6, 16]: scratch, whose first column receives the largest score of each row
   */
  abstract void scores(
      float[] q,
      int qOffset,
      float[] k,
      int kOffset,
      int panels,
      int keyDim,
      float[] scores,
      float[] maxima);

  /** The largest of {@code count} scores (a multiple of 16) from {@code offset} on. */
  abstract float max(float[] scores, int offset, int count);

  /**
   * Replaces the scores s of a strip by the weights p = 2^(−unit · (shift − s)) and adds them to
   * the row sums: {@code sums[r, lane] = sums[r, lane] · rescale[r] + Σ p[r, lane + 16i]}. A weight
   * below 2^-126.5 is exactly +0.
   *
   * @param scores [6, SCORE_STRIDE], of which {@code count} (a multiple of 16) of each row are used
   * @param shift [6]: at least the largest score of the row; finite
   * @param unit log2 units of a score of 1, in [1, 2)
   * @param clamped whether differences may exceed {@link Exp2#NO_CLAMP} log2 units
   * @param sums [6, 16] from {@code sumsOffset} on
   */
  abstract void weights(
      float[] scores,
      int count,
      float[] shift,
      float unit,
      boolean clamped,
      float[] sums,
      int sumsOffset);

  /**
   * {@code output[r, c] += Σ_j weights[r, j] · v[j, c]} for one strip and one value panel, summed
   * from zero.
   *
   * @param weights [6, SCORE_STRIDE]; row r is read from {@code r · SCORE_STRIDE + first} on
   * @param v [keys, width] from {@code vOffset} on; the width is a multiple of 16
   * @param output row r starts at {@code oOffset + r · oStride}
   */
  abstract void weightedValues(
      float[] weights,
      int first,
      int keys,
      float[] v,
      int vOffset,
      int width,
      float[] output,
      int oOffset,
      int oStride);

  /** Whether {@code count} ints from {@code offset} on are all {@code value}. */
  abstract boolean allEqual(int[] x, int offset, int count, int value);

  /** Whether {@code bottom ≤ |x| < end} for {@code count} floats from {@code offset} on. */
  abstract boolean allWithin(float[] x, int offset, int count, float bottom, float end);

  /**
   * Widens 16-bit elements to float32, exactly: finite values, subnormals and ±0 included.
   *
   * @param type {@link ElementType#BF16} or {@link ElementType#F16}
   * @param source read from {@code from} on
   * @param count elements, a multiple of 16
   * @param target written from {@code to} on
   */
  abstract void unpack(
      ElementType type, short[] source, int from, int count, float[] target, int to);

  /** Folds a pair of blocks into {@code state} on the calling thread. */
  public final void fold(
      QueryBlock queries, KeyValueBlock keys, VisibleKeys visible, AttentionState state) {
    fold(queries, keys, visible, state, 1);
  }

  /**
   * Folds a pair of blocks into {@code state}. The rows are shared out over the threads; a row's
   * leaf is computed by one of them, so that their number does not touch the bits.
   *
   * @param visible the keys that each query row sees, in rows of the key block
   * @param state the state of the query block's rows
   * @param threads threads that compute, the calling one among them
   * @throws InvalidElementException if a visible score is not finite or at least 2^22 in log2 units
   */
  public final void fold(
      QueryBlock queries,
      KeyValueBlock keys,
      VisibleKeys visible,
      AttentionState state,
      int threads) {
    HeadLayout layout = queries.layout();
    if (!layout.equals(keys.layout())
        || state.heads() != layout.numHeads()
        || state.rows() != queries.rows()
        || state.valueDim() != layout.valueDim()
        || visible.from().length < queries.rows()) {
      throw new IllegalArgumentException(
          "Cannot fold %s keys into the state of %s queries".formatted(keys.layout(), layout));
    }
    RowGroups groups = new RowGroups(layout.numHeads(), queries.rows(), threads);
    Runnable work =
        () -> {
          Leaf leaf = new Leaf(keys);
          for (RowGroup group = groups.next(); group != null; group = groups.next()) {
            foldGroup(queries, keys, visible, group, leaf, state);
          }
        };
    FoldThreads.share(threads, work);
  }

  /**
   * Computes the leaves of up to {@link #GROUP_ROWS} rows of one head and adds them to the state.
   */
  private void foldGroup(
      QueryBlock queries,
      KeyValueBlock keys,
      VisibleKeys visible,
      RowGroup group,
      Leaf leaf,
      AttentionState state) {
    int head = group.head();
    int keyValueHead = queries.layout().keyValueHead(head);
    leaf.clear(group.to() - group.from());
    for (int inner = 0; inner < keys.keys(); inner += INNER_KEYS) {
      leaf.panels.load(this, keyValueHead, inner, visible, group.from(), group.to());
      for (int row = group.from(); row < group.to(); row += STRIP_ROWS) {
        foldStrip(queries, keys, visible, head, row, inner, leaf, row - group.from());
      }
    }
    for (int row = group.from(); row < group.to(); row++) {
      int leafRow = row - group.from();
      if (leaf.references[leafRow] != NONE) {
        state.addLeaf(
            head,
            row,
            (double) leaf.references[leafRow] * queries.unit(),
            leaf.output,
            leafRow * leaf.columns,
            leaf.denominator(leafRow),
            this);
      }
    }
  }

  /** One strip of six rows against one inner block: a step of FlashAttention-2's inner loop. */
  private void foldStrip(
      QueryBlock queries,
      KeyValueBlock keys,
      VisibleKeys visible,
      int head,
      int row,
      int inner,
      Leaf leaf,
      int leafRow) {
    int innerEnd = Math.min(inner + INNER_KEYS, keys.keys());
    leaf.clip(visible, row, Math.min(row + STRIP_ROWS, queries.rows()), inner, innerEnd);
    if (leaf.first >= leaf.end) {
      return;
    }
    HeadLayout layout = queries.layout();
    int keyValueHead = layout.keyValueHead(head);
    int panels = QueryBlock.ceilDiv(leaf.end - leaf.first, PANEL_KEYS);
    int count = panels * PANEL_KEYS;

    scores(
        queries.strips(),
        queries.stripOffset(head, row),
        leaf.panels.keys(),
        leaf.panels.keyOffset(leaf.first),
        panels,
        layout.keyDim(),
        leaf.scores,
        leaf.maxima);
    float bound = queries.norms()[head] * keys.keyNorms()[keyValueHead] * queries.unit();
    if (bound >= MAX_SCORE / 2) {
      leaf.checkScores(head, row, queries.unit());
    }
    boolean masked = leaf.mask(count);
    if (masked) {
      for (int r = 0; r < STRIP_ROWS; r++) {
        leaf.maxima[r * LANES] = max(leaf.scores, r * SCORE_STRIDE, count);
      }
    }
    softmax(leaf, leafRow, count, queries.unit(), masked || 2 * bound >= Exp2.NO_CLAMP);

    int used = Math.min(leaf.first + count, keys.keys()) - leaf.first;
    // The sums begin at fixed keys: where the strip's first key is depends on its other rows.
    int offset = leaf.first - inner;
    for (int first = 0, next; first < used; first = next) {
      next = Math.min((offset + first) / VALUE_KEYS * VALUE_KEYS + VALUE_KEYS - offset, used);
      weightedValues(leaf, leafRow, first, next - first, layout.valueDim());
    }
  }

  /** O = O + PV of some keys, one value panel after the other. */
  private void weightedValues(Leaf leaf, int leafRow, int first, int length, int valueDim) {
    for (int column = 0; column < leaf.columns; column += KeyValueBlock.PANEL_COLUMNS) {
      weightedValues(
          leaf.scores,
          first,
          length,
          leaf.panels.values(),
          leaf.panels.valueOffset(leaf.first + first, column),
          KeyValueBlock.panelWidth(valueDim, column),
          leaf.output,
          leafRow * leaf.columns + column,
          leaf.columns);
    }
  }

  /** m = max(m, rowmax S), O and ℓ rescaled where m moved, and P = exp(S − m) with its row sums. */
  private void softmax(Leaf leaf, int leafRow, int count, float unit, boolean clamped) {
    for (int r = 0; r < STRIP_ROWS; r++) {
      float before = leaf.references[leafRow + r];
      float m = Math.max(before, leaf.maxima[r * LANES]);
      if (m != before && before != NONE) {
        leaf.rescale(leafRow + r, Exp2.weight(m - before, unit));
      }
      leaf.references[leafRow + r] = m;
      leaf.shift[r] = m == NONE ? 0 : m;
    }
    weights(leaf.scores, count, leaf.shift, unit, clamped, leaf.sums, leafRow * LANES);
  }

  /** Some rows of one head, from a strip's first row on. */
  private record RowGroup(int head, int from, int to) {}

  /**
   * Deals out the rows of a fold, head by head: to one thread in order, so that an error is that of
   * the first group that has one; to several the last rows first, which have the most work under a
   * causal mask, and in smaller groups towards the end, so that none waits long for the last one.
   */
  private static final class RowGroups {
    /** Rows of the smallest group that one thread of several gets; the last groups take 50 µs. */
    private static final int LEAST_ROWS = 4 * STRIP_ROWS;

    private final int heads;
    private final int rows;
    private final int threads;
    private int head;

    /** Rows of {@link #head} that were not dealt out. */
    private int left;

    RowGroups(int heads, int rows, int threads) {
      this.heads = heads;
      this.rows = rows;
      this.threads = threads;
      this.left = rows;
    }

    /** Null when all is dealt out. */
    synchronized RowGroup next() {
      if (left == 0) {
        head++;
        left = rows;
      }
      if (head >= heads) {
        return null;
      }
      if (threads == 1) {
        int from = rows - left;
        int to = Math.min(from + GROUP_ROWS, rows);
        left = rows - to;
        return new RowGroup(head, from, to);
      }
      long all = (long) (heads - 1 - head) * rows + left;
      int size = (int) Math.min(Math.max(all / (2L * threads), LEAST_ROWS), GROUP_ROWS);
      int to = left;
      left = Math.max(0, QueryBlock.ceilDiv(to - size, STRIP_ROWS) * STRIP_ROWS);
      return new RowGroup(head, left, to);
    }
  }

  /** Scratch of one fold: the leaves of a group of rows and the scores of a strip. */
  private static final class Leaf {
    final InnerPanels panels;
    final int columns;
    final float[] references = new float[GROUP_ROWS];
    final float[] sums = new float[GROUP_ROWS * LANES];
    final float[] output;
    final float[] scores = new float[STRIP_ROWS * SCORE_STRIDE];
    final float[] maxima = new float[STRIP_ROWS * LANES];
    final float[] shift = new float[STRIP_ROWS];

    /** Visible keys of the strip's rows, in rows of the key block; empty for padding rows. */
    final int[] from = new int[STRIP_ROWS];

    final int[] to = new int[STRIP_ROWS];

    /** The strip's keys [first, end): the union of its rows' intervals, first on a panel. */
    int first;

    int end;

    Leaf(KeyValueBlock keys) {
      this.panels = new InnerPanels(keys);
      this.columns = KeyValueBlock.paddedColumns(keys.layout().valueDim());
      this.output = new float[GROUP_ROWS * columns];
    }

    /** Forgets the leaves of the group before, for {@code rows} rows and those that pad a strip. */
    void clear(int rows) {
      int padded = QueryBlock.ceilDiv(rows, STRIP_ROWS) * STRIP_ROWS;
      Arrays.fill(references, 0, padded, NONE);
      Arrays.fill(sums, 0, padded * LANES, 0f);
      Arrays.fill(output, 0, padded * columns, 0f);
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

    /** Intersects the rows' visible keys with the inner block. */
    void clip(VisibleKeys visible, int row, int rowEnd, int inner, int innerEnd) {
      first = innerEnd;
      end = inner;
      for (int r = 0; r < STRIP_ROWS; r++) {
        boolean real = row + r < rowEnd;
        from[r] = real ? Math.max(visible.from()[row + r], inner) : innerEnd;
        to[r] = real ? Math.min(visible.to()[row + r], innerEnd) : inner;
        if (from[r] < to[r]) {
          first = Math.min(first, from[r]);
          end = Math.max(end, to[r]);
        }
      }
      first = first / PANEL_KEYS * PANEL_KEYS;
    }

    /** Keys that a row does not see score −∞. Returns whether there are any. */
    boolean mask(int count) {
      boolean masked = false;
      for (int r = 0; r < STRIP_ROWS; r++) {
        if (from[r] == first && to[r] == first + count) {
          continue;
        }
        masked = true;
        int row = r * SCORE_STRIDE;
        int visibleFrom = from[r] < to[r] ? from[r] - first : count;
        int visibleTo = from[r] < to[r] ? to[r] - first : count;
        Arrays.fill(scores, row, row + visibleFrom, Float.NEGATIVE_INFINITY);
        Arrays.fill(scores, row + visibleTo, row + count, Float.NEGATIVE_INFINITY);
      }
      return masked;
    }

    void checkScores(int head, int row, float unit) {
      for (int r = 0; r < STRIP_ROWS; r++) {
        for (int key = from[r]; key < to[r]; key++) {
          float score = scores[r * SCORE_STRIDE + key - first] * unit;
          if (!(Math.abs(score) < MAX_SCORE)) {
            throw new InvalidElementException(
                "score", head, row + r, score, "finite and below 2^22 in log2 units");
          }
        }
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
}

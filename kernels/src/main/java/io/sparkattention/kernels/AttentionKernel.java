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
 * depends on the set of visible keys only, in whatever form it is given, and all kernels give the
 * same bits.
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
   * 256 and 1.4e-8 with 128. Halving it costs 1 % of the time or less. Two panels, so that a sum
   * begins at one.
   */
  static final int VALUE_KEYS = 2 * KeyValueBlock.PANEL_KEYS;

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

  /** The kernel's name in logs and reports, for example {@code vector-512}. */
  public abstract String name();

  /**
   * Scores of one strip against whole key panels: {@code scores[r, j] = Σ_d q[d, r] · k[d, j]}.
   *
   * @param q [keyDim, 6] from {@code qOffset} on
   * @param k [panels, keyDim, 64] from {@code kOffset} on
   * @param scores [6, SCORE_STRIDE]; row r is written from {@code r · SCORE_STRIDE + first} on
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
      int first,
      float[] maxima);

  /**
   * Of 64 scores from {@code offset} on those whose bit is 0 become −∞. Returns the largest, which
   * is −∞ if no bit is set.
   */
  abstract float mask(float[] scores, int offset, long word);

  /**
   * Replaces some scores s of a strip by the weights p = 2^(−unit · (shift − s)) and adds them to
   * the row sums: {@code sums[r, lane] += p[r, lane + 16i]}, one by one. A weight below 2^-126.5 is
   * exactly +0.
   *
   * @param scores [6, SCORE_STRIDE], of which each row's {@code count} (a multiple of 16) from
   *     {@code first} on are used
   * @param shift [6]: at least the largest score of the row; finite
   * @param unit log2 units of a score of 1, in [1, 2)
   * @param clamped whether differences may exceed {@link Exp2#NO_CLAMP} log2 units
   * @param sums [6, 16]
   */
  abstract void weights(
      float[] scores,
      int first,
      int count,
      float[] shift,
      float unit,
      boolean clamped,
      float[] sums);

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

  /**
   * Softcap of some scores of one row, as {@link Softcap#of} says.
   *
   * @param count scores from {@code offset} on, a multiple of 64
   * @param cap positive, in the unit of the scores
   */
  abstract void softcap(float[] scores, int offset, int count, float cap);

  /** {@code scores[offset + j] += bias[j] · factor} for j below {@code count}, a multiple of 64. */
  abstract void addBias(float[] scores, int offset, int count, float[] bias, float factor);

  /**
   * Of some weights of one row those become +0 whose {@link Dropout#hash} is below the threshold.
   *
   * @param count weights from {@code offset} on, a multiple of 64
   * @param key position of the first one's key; its lower 32 bits
   * @param stream of the query
   */
  abstract void drop(float[] weights, int offset, int count, int key, long stream, int threshold);

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

  /** Folds a pair of blocks into {@code state} on the calling thread, the scores as they are. */
  public final void fold(
      QueryBlock queries, KeyValueBlock keys, VisibleKeys visible, AttentionState state) {
    fold(queries, keys, visible, ScoreTransform.NONE, state, 1);
  }

  /**
   * Folds a pair of blocks into {@code state}. The rows are shared out over the threads; a row's
   * leaf is computed by one of them, so that their number does not touch the bits.
   *
   * @param visible the keys that each query row sees, in rows of the key block
   * @param state the state of the query block's rows
   * @param threads threads that compute, the calling one among them
   * @throws InvalidElementException if a visible score is not finite or at least 2^22 in log2
   *     units, before the transform or, where it is the largest of a row, after it
   */
  public final void fold(
      QueryBlock queries,
      KeyValueBlock keys,
      VisibleKeys visible,
      ScoreTransform transform,
      AttentionState state,
      int threads) {
    BlockPair pair = new BlockPair(queries, keys, visible, transform);
    pair.check(state);
    RowGroups groups = new RowGroups(state.heads(), state.rows(), threads);
    Runnable work =
        () -> {
          Leaf leaf = new Leaf(pair);
          for (RowGroups.Group group = groups.next(); group != null; group = groups.next()) {
            foldGroup(pair, group, leaf, state);
          }
        };
    FoldThreads.share(threads, work);
  }

  /**
   * Computes the leaves of up to {@link #GROUP_ROWS} rows of one head and adds them to the state.
   */
  private void foldGroup(BlockPair pair, RowGroups.Group group, Leaf leaf, AttentionState state) {
    int head = group.head();
    leaf.clear(group.to() - group.from());
    for (int inner = 0; inner < pair.keys().keys(); inner += INNER_KEYS) {
      leaf.panels.load(this, group, inner, pair.visible());
      for (int row = group.from(); row < group.to(); row += STRIP_ROWS) {
        foldStrip(pair, head, row, inner, leaf, row - group.from());
      }
    }
    for (int row = group.from(); row < group.to(); row++) {
      int leafRow = row - group.from();
      if (leaf.references[leafRow] != Leaf.NONE) {
        state.addLeaf(
            head,
            row,
            (double) leaf.references[leafRow] * pair.queries().unit(),
            leaf.output,
            leafRow * leaf.columns,
            leaf.denominator(leafRow),
            this);
      }
    }
  }

  /** One strip of six rows against one inner block: a step of FlashAttention-2's inner loop. */
  private void foldStrip(BlockPair pair, int head, int row, int inner, Leaf leaf, int leafRow) {
    if (!leaf.look(head, row, inner)) {
      return;
    }
    float bound = pair.scoreBound(head);
    boolean biased = !pair.transform().biases().isEmpty();
    scores(pair, head, row, inner, leaf);
    softmax(leaf, leafRow, pair.queries().unit(), biased || 2 * bound >= Exp2.NO_CLAMP);
    if (pair.transform().dropout().drops()) {
      drop(pair.transform().dropout(), head, row, inner, leaf);
    }
    addValues(pair, leaf, leafRow, inner);
  }

  /**
   * S = QKᵀ of the panels that the strip touches, transformed, −∞ where a row does not see a key;
   * rowmax S.
   */
  final void scores(BlockPair pair, int head, int row, int inner, Leaf leaf) {
    QueryBlock queries = pair.queries();
    boolean checked = pair.scoreBound(head) >= MAX_SCORE / 2;
    boolean transformed = pair.transform().changesScores();
    Arrays.fill(leaf.shift, Leaf.NONE);
    for (int p = leaf.nextTouched(0), end; p < Leaf.INNER_PANELS; p = leaf.nextTouched(end)) {
      end = leaf.endOfRun(p);
      scores(
          queries.strips(),
          queries.stripOffset(head, row),
          leaf.panels.keys(),
          leaf.panels.keyOffset(inner + p * PANEL_KEYS),
          end - p,
          queries.layout().keyDim(),
          leaf.scores,
          p * PANEL_KEYS,
          leaf.maxima);
      if (checked) {
        leaf.checkScores(p, end);
      }
      if (transformed) {
        transform(pair, head, row, inner, leaf, p, end);
      }
      for (int r = 0; r < STRIP_ROWS; r++) {
        boolean known = leaf.seesWhole(p) && !transformed;
        float max = known ? leaf.maxima[r * LANES] : mask(leaf, r, p, end);
        leaf.shift[r] = Math.max(leaf.shift[r], max);
      }
    }
    if (transformed) {
      leaf.checkMaxima();
    }
  }

  /** Softcap and biases of the panels [from, to), for the rows that there are. */
  private void transform(
      BlockPair pair, int head, int row, int inner, Leaf leaf, int from, int to) {
    ScoreTransform transform = pair.transform();
    float toRaw = (float) (1 / pair.queries().scoreOf(1));
    int key = inner + from * PANEL_KEYS;
    int count = (to - from) * PANEL_KEYS;
    int keys = Math.min(count, pair.keys().keys() - key);
    for (int r = 0; r < Math.min(STRIP_ROWS, pair.queries().rows() - row); r++) {
      int offset = r * SCORE_STRIDE + from * PANEL_KEYS;
      if (transform.softcap() > 0) {
        softcap(leaf.scores, offset, count, transform.softcap() * toRaw);
      }
      for (ScoreBias bias : transform.biases()) {
        bias.row(head, row + r, key, keys, leaf.bias);
        addBias(leaf.scores, offset, count, leaf.bias, toRaw);
      }
    }
  }

  /** Masks a row of the strip in panels [from, to) and returns the largest score left. */
  private float mask(Leaf leaf, int r, int from, int to) {
    float max = Leaf.NONE;
    for (int p = from; p < to; p++) {
      float some = mask(leaf.scores, r * SCORE_STRIDE + p * PANEL_KEYS, leaf.word(r, p));
      max = Math.max(max, some);
    }
    return max;
  }

  /** m = max(m, rowmax S), O and ℓ rescaled where m moved, and P = exp(S − m) with its row sums. */
  private void softmax(Leaf leaf, int leafRow, float unit, boolean clamped) {
    for (int r = 0; r < STRIP_ROWS; r++) {
      float before = leaf.references[leafRow + r];
      float m = Math.max(before, leaf.shift[r]);
      if (m != before && before != Leaf.NONE) {
        leaf.rescale(leafRow + r, Exp2.weight(m - before, unit));
      }
      leaf.references[leafRow + r] = m;
      leaf.shift[r] = m == Leaf.NONE ? 0 : m;
    }
    Arrays.fill(leaf.added, 0f);
    for (int p = leaf.nextTouched(0), end; p < Leaf.INNER_PANELS; p = leaf.nextTouched(end)) {
      end = leaf.endOfTouched(p);
      boolean inPart = !leaf.seesWhole(p, end);
      weights(
          leaf.scores,
          p * PANEL_KEYS,
          (end - p) * PANEL_KEYS,
          leaf.shift,
          unit,
          clamped || inPart,
          leaf.added);
    }
    leaf.addSums(leafRow);
  }

  /** Weights that are dropped become 0, after the row sums. */
  private void drop(Dropout dropout, int head, int row, int inner, Leaf leaf) {
    for (int p = leaf.nextTouched(0), end; p < Leaf.INNER_PANELS; p = leaf.nextTouched(end)) {
      end = leaf.endOfTouched(p);
      for (int r = 0; r < STRIP_ROWS; r++) {
        drop(
            leaf.scores,
            r * SCORE_STRIDE + p * PANEL_KEYS,
            (end - p) * PANEL_KEYS,
            (int) (dropout.firstKey() + inner + p * PANEL_KEYS),
            dropout.stream(head, row + r),
            dropout.threshold());
      }
    }
  }

  /** O = O + PV: sums of {@link #VALUE_KEYS} keys that begin at fixed ones, whatever is masked. */
  private void addValues(BlockPair pair, Leaf leaf, int leafRow, int inner) {
    int keys = pair.keys().keys();
    int valueDim = pair.queries().layout().valueDim();
    for (int p = 0; p < Leaf.INNER_PANELS; p += 2) {
      int from = (leaf.touches(p) ? p : p + 1) * PANEL_KEYS;
      int to = Math.min((leaf.touches(p + 1) ? p + 2 : p + 1) * PANEL_KEYS, keys - inner);
      if (from >= to) {
        continue;
      }
      for (int column = 0; column < leaf.columns; column += KeyValueBlock.PANEL_COLUMNS) {
        weightedValues(
            leaf.scores,
            from,
            to - from,
            leaf.panels.values(),
            leaf.panels.valueOffset(inner + from, column),
            KeyValueBlock.panelWidth(valueDim, column),
            leaf.output,
            leafRow * leaf.columns + column,
            leaf.columns);
      }
    }
  }
}

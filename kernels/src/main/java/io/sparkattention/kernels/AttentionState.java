package io.sparkattention.kernels;

import java.util.Arrays;

/**
 * The mergeable partial result of some query rows: for each head and row a softmax denominator and
 * a weighted sum of values, as sums that are <em>exact</em>, so that merging is bitwise commutative
 * and associative. The finished result depends on the leaves alone (one leaf per row and key
 * block), never on the order or the tree in which they meet.
 *
 * <p>The idea is that of reproducible summation (Demmel and Nguyen 2013; ReproBLAS): every number
 * is cut at fixed places of its exponent. Each element keeps a bin {@code T}, an odd multiple of W
 * / 2 = 18, and two doubles. A contribution {@code x · 2^e} with exponent in {@code (T − W, T]}
 * becomes {@code y = x · 2^(e − T)}, {@code |y| < 2}, and is cut into {@code hi}, the multiple of
 * 2^-W nearest to it, and {@code lo}, the multiple of 2^-2W nearest to {@code y − hi}. A
 * contribution one bin lower adds its {@code hi · 2^-W}, a multiple of 2^-2W, to {@code lo}; two or
 * more bins lower, it adds nothing. All summands of a level are integers of one unit, and their
 * sums stay below 2^53 units for {@link #MAX_LEAVES} leaves: no addition ever rounds.
 *
 * <p>Error: what is dropped per leaf is at most half a unit of the second level, and two units for
 * a leaf more than one bin below, so that the sum of {@code n} leaves is off by at most {@code n ·
 * 2^-W} times the smallest value of its bin, {@code n · 2^-36} relative to the largest leaf.
 */
public final class AttentionState {
  /** Width of a bin in powers of two. */
  static final int W = 36;

  /** Leaves that may meet in one state: 2^(52 − W). The planner refuses more. */
  public static final int MAX_LEAVES = 1 << (52 - W);

  /**
   * The bin of an element to which nothing but zeros was added: no odd multiple of W / 2, and what
   * a new array holds.
   */
  static final int EMPTY = 0;

  /** Adding and subtracting this rounds a small double to a multiple of 2^-W. */
  private static final double ROUND_TO_HI = 1.5 * (1L << (52 - W));

  /** The same for multiples of 2^-2W. */
  private static final double ROUND_TO_LO = 1.5 / (1L << (2 * W - 52));

  private static final double ONE_BIN_LOWER = 1.0 / (1L << W);
  private static final double LN_2 = 0.6931471805599453;
  private static final double LOG2_E = 1.4426950408889634;

  private final int heads;
  private final int rows;
  private final int valueDim;

  /** [heads, rows, valueDim + 1], the denominator behind the columns of the value sum. */
  private final int[] bin;

  private final double[] hi;
  private final double[] lo;

  /** An empty state: it has seen no key. */
  public AttentionState(int heads, int rows, int valueDim) {
    this(
        heads,
        rows,
        valueDim,
        new int[elements(heads, rows, valueDim)],
        new double[elements(heads, rows, valueDim)],
        new double[elements(heads, rows, valueDim)]);
  }

  /** Wraps arrays of an earlier state, each [heads, rows, valueDim + 1]. */
  public AttentionState(int heads, int rows, int valueDim, int[] bin, double[] hi, double[] lo) {
    int elements = elements(heads, rows, valueDim);
    if (bin.length != elements || hi.length != elements || lo.length != elements) {
      throw new IllegalArgumentException(
          "Invalid attention state: %d, %d and %d elements (expected %d = %d heads × %d rows × %d)"
              .formatted(bin.length, hi.length, lo.length, elements, heads, rows, valueDim + 1));
    }
    this.heads = heads;
    this.rows = rows;
    this.valueDim = valueDim;
    this.bin = bin;
    this.hi = hi;
    this.lo = lo;
  }

  /** Bytes of a state: an int and two doubles per element. */
  public static long bytes(int heads, int rows, int valueDim) {
    return (Integer.BYTES + 2L * Double.BYTES) * elements(heads, rows, valueDim);
  }

  private static int elements(int heads, int rows, int valueDim) {
    return Math.toIntExact(Math.multiplyExact((long) heads * rows, valueDim + 1));
  }

  public int heads() {
    return heads;
  }

  public int rows() {
    return rows;
  }

  public int valueDim() {
    return valueDim;
  }

  /** [heads, rows, valueDim + 1]: exponent at the top of the element's bin; not a copy. */
  public int[] bin() {
    return bin;
  }

  /** [heads, rows, valueDim + 1]: sum of the upper parts; not a copy. */
  public double[] hi() {
    return hi;
  }

  /** [heads, rows, valueDim + 1]: sum of the lower parts; not a copy. */
  public double[] lo() {
    return lo;
  }

  /**
   * Adds the leaf of one row: the value sum {@code O · 2^e} and the denominator {@code l · 2^e}.
   *
   * <p>Nearly always all elements of a row and the contributions to them lie in one bin, which the
   * kernel finds in vectors; else element by element, to the same bits.
   *
   * @param exponent the leaf's reference e in log2 units, at most 2^23 in absolute value. Its
   *     fraction becomes one double for the whole leaf, so that it cancels in O / l
   * @param values holds O, {@code valueDim} finite floats from {@code offset} on
   * @param denominator l, finite
   */
  void addLeaf(
      int head,
      int row,
      double exponent,
      float[] values,
      int offset,
      float denominator,
      AttentionKernel kernel) {
    int whole = (int) Math.rint(exponent);
    double fraction = Exp2.ofFraction(exponent - whole);
    int first = (head * rows + row) * (valueDim + 1);
    boolean unseen = bin[first + valueDim] == EMPTY;
    int common = unseen ? binOf(values[offset] * fraction, whole) : bin[first];
    if (common != EMPTY
        && (unseen || kernel.allEqual(bin, first, valueDim, common))
        && liesInBin(common, whole, values, offset, kernel)) {
      if (unseen) {
        Arrays.fill(bin, first, first + valueDim, common);
      }
      double scale = fraction * powerOfTwo(whole - common);
      addSplit(values, offset, valueDim, scale, hi, lo, first);
    } else {
      for (int c = 0; c < valueDim; c++) {
        addAcrossBins(first + c, values[offset + c] * fraction, whole);
      }
    }
    addAcrossBins(first + valueDim, denominator * fraction, whole);
  }

  /** Whether {@code x · 2^e} of a row, with e of any fraction, all have exponents in (T − W, T]. */
  private boolean liesInBin(
      int bin, int exponent, float[] values, int offset, AttentionKernel kernel) {
    int top = bin - exponent;
    // Bounds that are no normal floats are left to the way element by element. The fraction of e
    // is a factor between 1/√2 and √2, and what lies that near to an edge is left to it too.
    return top < Float.MAX_EXPONENT
        && top - W + 1 >= Float.MIN_EXPONENT
        && kernel.allWithin(
            values,
            offset,
            valueDim,
            1.4143f * floatPowerOfTwo(top - W + 1),
            1.4142f * floatPowerOfTwo(top));
  }

  /** Arrays as parameters, so that the compiler keeps them in registers over the stores. */
  private static void addSplit(
      float[] x, int offset, int count, double scale, double[] hi, double[] lo, int first) {
    for (int c = 0; c < count; c++) {
      double y = x[offset + c] * scale;
      double upper = (y + ROUND_TO_HI) - ROUND_TO_HI;
      hi[first + c] += upper;
      lo[first + c] += (y - upper + ROUND_TO_LO) - ROUND_TO_LO;
    }
  }

  /**
   * The bin of {@code x · 2^exponent}. The bins' edges are at odd multiples of W / 2, so that one
   * of them is around 1, where sums of ordinary values lie: the elements of a row share it.
   */
  private static int binOf(double x, int exponent) {
    return x == 0
        ? EMPTY
        : Math.floorDiv(Math.getExponent(x) + exponent + W / 2 - 1, W) * W + W / 2;
  }

  /** Any contribution: also the first, a zero, or one whose bin is not the element's. */
  private void addAcrossBins(int i, double x, int exponent) {
    if (x == 0) {
      return;
    }
    int itsBin = binOf(x, exponent);
    double y = x * powerOfTwo(exponent - itsBin);
    double upper = (y + ROUND_TO_HI) - ROUND_TO_HI;
    mergeElement(i, itsBin, upper, (y - upper + ROUND_TO_LO) - ROUND_TO_LO);
  }

  /** Forgets all leaves. */
  public void clear() {
    Arrays.fill(bin, EMPTY);
    Arrays.fill(hi, 0);
    Arrays.fill(lo, 0);
  }

  /** Merges another state of the same rows into this one. */
  public void merge(AttentionState other) {
    if (other.heads != heads || other.rows != rows || other.valueDim != valueDim) {
      throw new IllegalArgumentException(
          "Cannot merge attention states of %d × %d × %d and %d × %d × %d"
              .formatted(heads, rows, valueDim, other.heads, other.rows, other.valueDim));
    }
    for (int i = 0; i < bin.length; i++) {
      if (bin[i] == other.bin[i]) {
        hi[i] += other.hi[i];
        lo[i] += other.lo[i];
      } else if (other.bin[i] != EMPTY) {
        mergeElement(i, other.bin[i], other.hi[i], other.lo[i]);
      }
    }
  }

  /**
   * Aligns the lower of the element and (otherBin, otherHi, otherLo) to the higher bin and adds.
   */
  private void mergeElement(int i, int otherBin, double otherHi, double otherLo) {
    if (bin[i] == EMPTY) {
      bin[i] = otherBin;
      hi[i] = otherHi;
      lo[i] = otherLo;
    } else if (otherBin == bin[i]) {
      hi[i] += otherHi;
      lo[i] += otherLo;
    } else if (otherBin > bin[i]) {
      lo[i] = otherBin - bin[i] == W ? hi[i] * ONE_BIN_LOWER + otherLo : otherLo;
      hi[i] = otherHi;
      bin[i] = otherBin;
    } else if (bin[i] - otherBin == W) {
      lo[i] += otherHi * ONE_BIN_LOWER;
    }
  }

  /** The result of one head and row, of all keys it has seen and nothing else. */
  public float finish(int head, int row, float[] output, int offset) {
    return finish(head, row, Float.NEGATIVE_INFINITY, 0, output, offset);
  }

  /**
   * The result of one head and row.
   *
   * @param sink the logit of the head's attention sink, a key whose value is zero (Xiao et al.
   *     2024, arXiv:2309.17453, equation 2), below 2^21 in absolute value; −∞: none
   * @param dropout the probability with which weights were dropped
   * @param output receives {@code valueDim} floats from {@code offset} on: the attention output,
   *     zero for a row that saw no key
   * @return the natural logarithm of the sum of the exponentials of the scores, the sink's among
   *     them; −∞ for a row that saw neither
   */
  public float finish(int head, int row, float sink, double dropout, float[] output, int offset) {
    int first = (head * rows + row) * (valueDim + 1);
    int last = first + valueDim;
    if (bin[last] == EMPTY) {
      Arrays.fill(output, offset, offset + valueDim, 0f);
      return sink;
    }
    int top = bin[last];
    double denominator = hi[last] + lo[last];
    if (sink != Float.NEGATIVE_INFINITY) {
      double exponent = sink * LOG2_E;
      int whole = (int) Math.rint(exponent);
      double weight = Exp2.ofFraction(exponent - whole);
      top = Math.max(top, whole);
      denominator = Math.scalb(denominator, bin[last] - top) + Math.scalb(weight, whole - top);
    }
    double inverse = 1 / (denominator * (1 - dropout));
    for (int c = 0; c < valueDim; c++) {
      int i = first + c;
      double quotient = (hi[i] + lo[i]) * inverse;
      // An empty element is 0; scalb is slow, and nearly always nothing is to be scaled.
      int shift = bin[i] == EMPTY ? 0 : bin[i] - top;
      output[offset + c] = (float) (shift == 0 ? quotient : Math.scalb(quotient, shift));
    }
    return (float) (top * LN_2 + StrictMath.log(denominator));
  }

  /** 2^n for n in the range of normal floats; scalb takes five times as long. */
  private static float floatPowerOfTwo(int n) {
    return Float.intBitsToFloat((n + 127) << 23);
  }

  /** 2^n for n in the range of normal doubles. */
  private static double powerOfTwo(int n) {
    return Double.longBitsToDouble((long) (n + 1023) << 52);
  }
}

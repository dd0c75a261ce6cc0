package io.sparkattention.kernels;

import java.util.Objects;

/**
 * The queries of one block, packed for the kernel in strips of {@value #STRIP_ROWS} rows, {@code
 * [numHeads, strips, keyDim, STRIP_ROWS]}. Missing rows of the last strip are zero.
 *
 * <p>The factor {@code scale · log2(e)} of the scores is {@code ±2^k · unit}, 1 ≤ unit < 2: the
 * queries are scaled by ±2^k, which rounds nothing, and the unit is left to the softmax, which
 * multiplies differences of scores.
 */
public final class QueryBlock {
  /**
   * Rows that the micro-kernel holds in registers together, 6 × 4 vectors of keys with AVX-512, 6 ×
   * 2 without. Neighbours were slower: 4 × 4 by 1 % at headDim 128, 4 × 2 and 5 × 2 by 10 and 2 %.
   */
  public static final int STRIP_ROWS = 6;

  private static final double LOG2_E = 1.4426950408889634;

  private final HeadLayout layout;
  private final int rows;
  private final float unit;
  private final float[] strips;
  private final float[] norms;

  /**
   * Wraps arrays that an earlier {@link Packer} made.
   *
   * @param unit log2 units of a score of 1, in [1, 2)
   * @param strips [numHeads, ceil(rows / 6), keyDim, 6]
   * @param norms [numHeads]: the largest Euclidean norm of a packed query of the head
   */
  public QueryBlock(HeadLayout layout, int rows, float unit, float[] strips, float[] norms) {
    Objects.checkIndex(0, rows);
    if (strips.length != stripFloats(layout, rows)
        || norms.length != layout.numHeads()
        || !(unit >= 1 && unit < 2)) {
      throw new IllegalArgumentException(
          "Invalid query block of %d rows for %s: unit %s, %d floats, %d norms"
              .formatted(rows, layout, unit, strips.length, norms.length));
    }
    this.layout = layout;
    this.rows = rows;
    this.unit = unit;
    this.strips = strips;
    this.norms = norms;
  }

  public HeadLayout layout() {
    return layout;
  }

  public int rows() {
    return rows;
  }

  /** Log2 units of a score of 1: scores are dot products of packed queries with keys. */
  public float unit() {
    return unit;
  }

  /** The score, in the unit of the natural exponent, of a dot product with a packed query. */
  double scoreOf(double product) {
    return product * unit / LOG2_E;
  }

  /** Bytes of the packed queries. */
  public static long bytes(HeadLayout layout, int rows) {
    return (long) Float.BYTES * stripFloats(layout, rows);
  }

  /** The packed queries, [numHeads, ceil(rows / 6), keyDim, 6]; not a copy. */
  public float[] strips() {
    return strips;
  }

  /** [numHeads]: the largest Euclidean norm of a packed query of the head; not a copy. */
  public float[] norms() {
    return norms;
  }

  /** Index in {@link #strips()} of the strip that holds {@code row} of {@code head}. */
  int stripOffset(int head, int row) {
    int stripsPerHead = ceilDiv(rows, STRIP_ROWS);
    return (head * stripsPerHead + row / STRIP_ROWS) * layout.keyDim() * STRIP_ROWS;
  }

  private static int stripFloats(HeadLayout layout, int rows) {
    long padded = (long) ceilDiv(rows, STRIP_ROWS) * STRIP_ROWS;
    return Math.toIntExact(Math.multiplyExact(padded * layout.numHeads(), layout.keyDim()));
  }

  static int ceilDiv(int a, int b) {
    return (a + b - 1) / b;
  }

  /** Packs queries row by row. Each row of each head is put once. */
  public static final class Packer {
    private final HeadLayout layout;
    private final int rows;
    private final float unit;

    /** ±2^k, or 0. */
    private final float factor;

    private final float[] strips;
    private final float[] norms;

    /**
     * @param rows queries in the block
     * @param scale factor of the scores, usually 1/√keyDim; finite
     */
    public Packer(HeadLayout layout, int rows, double scale) {
      this.layout = layout;
      this.rows = rows;
      float whole = (float) (scale * LOG2_E);
      this.factor = whole == 0 ? 0 : Math.copySign(Math.scalb(1f, Math.getExponent(whole)), whole);
      this.unit = whole == 0 ? 1 : whole / factor;
      this.strips = new float[stripFloats(layout, rows)];
      this.norms = new float[layout.numHeads()];
    }

    /**
     * Puts the query of one head and row.
     *
     * @param source holds the query's {@code keyDim} elements from {@code offset} on
     * @throws InvalidElementException if an element is not finite, also after scaling
     */
    public void put(int head, int row, float[] source, int offset) {
      // Beyond the block lies another head, which would be overwritten unnoticed.
      Objects.checkIndex(row, rows);
      int keyDim = layout.keyDim();
      int stripsPerHead = ceilDiv(rows, STRIP_ROWS);
      int target =
          (head * stripsPerHead + row / STRIP_ROWS) * keyDim * STRIP_ROWS + row % STRIP_ROWS;
      double squares = 0;
      for (int d = 0; d < keyDim; d++) {
        float x = source[offset + d] * factor;
        if (!Float.isFinite(x)) {
          throw new InvalidElementException("query", head, row, source[offset + d], "finite");
        }
        strips[target + d * STRIP_ROWS] = x;
        squares += (double) x * x;
      }
      norms[head] = Math.max(norms[head], (float) Math.sqrt(squares));
    }

    public QueryBlock pack() {
      return new QueryBlock(layout, rows, unit, strips, norms);
    }
  }
}

package io.sparkattention.kernels;

/**
 * Chooses key blocks for queries by their mean keys: the gate of MoBA (Lu et al. 2025,
 * arXiv:2502.13189, equations 5 and 6). The products are those of the kernel's QKᵀ, so that all
 * kernels choose alike. Immutable.
 */
public final class BlockGate {
  private static final int PANEL_KEYS = KeyValueBlock.PANEL_KEYS;
  private static final int STRIP_ROWS = QueryBlock.STRIP_ROWS;

  private final HeadLayout layout;
  private final int blocks;

  /** [numKeyValueHeads, ceil(blocks / 64), keyDim, 64], as keys are packed. */
  private final float[] panels;

  /**
   * @param means [numKeyValueHeads, blocks, keyDim]: what {@link KeyValueBlock#meanKeys} gives for
   *     a sequence's blocks
   */
  public BlockGate(HeadLayout layout, int blocks, float[] means) {
    this.layout = layout;
    this.blocks = blocks;
    int perHead = panels() * layout.keyDim() * PANEL_KEYS;
    this.panels = new float[Math.multiplyExact(layout.numKeyValueHeads(), perHead)];
    for (int head = 0; head < layout.numKeyValueHeads(); head++) {
      for (int block = 0; block < blocks; block++) {
        int source = (head * blocks + block) * layout.keyDim();
        int target =
            head * perHead + block / PANEL_KEYS * layout.keyDim() * PANEL_KEYS + block % PANEL_KEYS;
        for (int d = 0; d < layout.keyDim(); d++) {
          panels[target + d * PANEL_KEYS] = means[source + d];
        }
      }
    }
  }

  private int panels() {
    return QueryBlock.ceilDiv(blocks, PANEL_KEYS);
  }

  /** Words that hold a bit for each block. */
  public int wordsPerRow() {
    return panels();
  }

  /**
   * The candidates with the largest products, of equal ones the earlier, for each head and query.
   *
   * @param count at most so many, the own block among them; at least 1
   * @param candidates [rows, wordsPerRow]: bit b says whether block b may be chosen
   * @param own [rows]: the block that is chosen first where it is a candidate; −1: none
   * @return [numHeads, rows, wordsPerRow]: the blocks that were chosen
   */
  public long[] choose(
      AttentionKernel kernel, QueryBlock queries, int count, long[] candidates, int[] own) {
    int words = wordsPerRow();
    int rows = queries.rows();
    long[] chosen = new long[Math.multiplyExact(layout.numHeads() * rows, words)];
    float[] products = new float[STRIP_ROWS * words * PANEL_KEYS];
    long[] best = new long[count];
    for (int head = 0; head < layout.numHeads(); head++) {
      for (int row = 0; row < rows; row++) {
        if (row % STRIP_ROWS == 0) {
          multiply(kernel, queries, head, row, products);
        }
        int size = 0;
        for (int block = 0; block < blocks; block++) {
          if (isSet(candidates, row * words, block)) {
            int product = row % STRIP_ROWS * words * PANEL_KEYS + block;
            long rank =
                rank(block == own[row] ? Float.POSITIVE_INFINITY : products[product], block);
            size = insert(best, size, rank);
          }
        }
        for (int i = 0; i < size; i++) {
          int block = ~(int) best[i];
          chosen[(head * rows + row) * words + block / Long.SIZE] |= 1L << block;
        }
      }
    }
    return chosen;
  }

  /** The products of a strip with all mean keys, [6, wordsPerRow · 64]. */
  private void multiply(
      AttentionKernel kernel, QueryBlock queries, int head, int row, float[] products) {
    int words = wordsPerRow();
    int panelFloats = layout.keyDim() * PANEL_KEYS;
    float[] scores = new float[STRIP_ROWS * AttentionKernel.SCORE_STRIDE];
    float[] maxima = new float[STRIP_ROWS * AttentionKernel.LANES];
    for (int panel = 0; panel < words; panel++) {
      kernel.scores(
          queries.strips(),
          queries.stripOffset(head, row),
          panels,
          (layout.keyValueHead(head) * words + panel) * panelFloats,
          1,
          layout.keyDim(),
          scores,
          0,
          maxima);
      for (int r = 0; r < STRIP_ROWS; r++) {
        int target = (r * words + panel) * PANEL_KEYS;
        System.arraycopy(scores, r * AttentionKernel.SCORE_STRIDE, products, target, PANEL_KEYS);
      }
    }
  }

  private static boolean isSet(long[] bits, int first, int index) {
    return (bits[first + index / Long.SIZE] >>> index & 1) != 0;
  }

  /** Larger for a larger product, and for an earlier block; its lower half is ~block. */
  private static long rank(float product, int block) {
    int bits = Float.floatToIntBits(product);
    // As integers negative floats are in reverse order.
    int ordered = bits < 0 ? bits ^ Integer.MAX_VALUE : bits;
    return (long) ordered << Integer.SIZE | ~block & 0xFFFFFFFFL;
  }

  /** Inserts into the best so far, descending; returns their number, at most best.length. */
  private static int insert(long[] best, int size, long rank) {
    if (size == best.length && best[size - 1] >= rank) {
      return size;
    }
    int place = Math.min(size, best.length - 1);
    int grown = place + 1;
    while (place > 0 && best[place - 1] < rank) {
      best[place] = best[place - 1];
      place--;
    }
    best[place] = rank;
    return Math.max(size, grown);
  }
}

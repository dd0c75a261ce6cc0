package io.sparkattention.kernels;

import java.util.Random;

/**
 * The exact fold of leaves into a state on its own, to be timed: one leaf for every row of a query
 * block, of the size that normal queries, keys and values of headDim 64 give.
 */
public final class LeafFolding {
  private static final float TYPICAL_DENOMINATOR = 100;
  private static final float TYPICAL_OUTPUT = 4;
  private static final int TYPICAL_EXPONENT = 5;

  private final int rows;
  private static final AttentionKernel KERNEL = AttentionKernels.auto().kernel();

  private final int valueDim;

  /** [rows, valueDim]. */
  private final float[] values;

  private final AttentionState state;

  public LeafFolding(int rows, int valueDim) {
    this.rows = rows;
    this.valueDim = valueDim;
    this.values = AttentionCase.normal(new Random(2), rows * valueDim);
    for (int i = 0; i < values.length; i++) {
      values[i] *= TYPICAL_OUTPUT;
    }
    this.state = new AttentionState(1, rows, valueDim);
    // The first leaf of a state costs more and is rare: it is not what run() times.
    run();
  }

  /** Adds one leaf to every row. */
  public void run() {
    for (int row = 0; row < rows; row++) {
      int exponent = TYPICAL_EXPONENT + row % 2;
      state.addLeaf(0, row, exponent, values, row * valueDim, TYPICAL_DENOMINATOR, KERNEL);
    }
  }
}

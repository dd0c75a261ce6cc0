package io.sparkattention.kernels;

import java.io.Serializable;
import java.util.Arrays;

/**
 * A dense layer's product with fixed weights, {@code output = input · weight + bias}, by the
 * micro-kernel with which attention weighs its values: rows of the input stand for rows of P,
 * columns of the weight for those of V. Immutable.
 *
 * <p>Each output element starts as its bias, to which sums of {@value #INPUTS_PER_SUM} products are
 * added, each from zero, in ascending order and by fused multiply-adds. So a row's bits depend on
 * that row alone, not on the rows computed with it, and are the same by all kernels.
 */
public final class DenseProduct implements Serializable {
  private static final long serialVersionUID = 1L;

  /**
   * Inputs of one sum. Short sums round less, and each costs a pass over the output: of the peak at
   * 512 × 768 × 3072, beside other work, 32 inputs left 0.72, 64 0.61 and 0.80, 128 and 256 0.84.
   */
  static final int INPUTS_PER_SUM = 128;

  /** Columns of a weight panel; the last one has as many as are left, in whole vectors. */
  private static final int PANEL_COLUMNS = KeyValueBlock.PANEL_COLUMNS;

  /**
   * Rows that pass over a part of a panel while it is in the nearest caches: 128 inputs of 64
   * columns are 32 KiB. With 24 to 192 rows the differences were within the noise of single runs.
   */
  private static final int GROUP_ROWS = 96;

  private static final int ROWS = AttentionKernel.STRIP_ROWS;
  private static final int STRIDE = AttentionKernel.SCORE_STRIDE;

  /** Inputs that a row of a strip has room for. */
  private static final int CUT_INPUTS = AttentionKernel.INNER_KEYS;

  /** [panels][inputSize, width of the panel]. */
  private final float[][] panels;

  /** [outputSize]. */
  private final float[] bias;

  private final int inputSize;

  /**
   * Packs a layer's weights.
   *
   * @param weight [outputSize, inputSize], as Hugging Face stores it
   * @param bias [outputSize]
   */
  public DenseProduct(float[] weight, float[] bias) {
    if (bias.length == 0 || weight.length == 0 || weight.length % bias.length != 0) {
      throw new IllegalArgumentException(
          "Invalid weights: %d values are not rows of %d outputs"
              .formatted(weight.length, bias.length));
    }
    this.bias = bias.clone();
    this.inputSize = weight.length / bias.length;
    this.panels = new float[(bias.length + PANEL_COLUMNS - 1) / PANEL_COLUMNS][];
    for (int panel = 0; panel < panels.length; panel++) {
      panels[panel] = panel(weight, panel * PANEL_COLUMNS);
    }
  }

  private float[] panel(float[] weight, int column) {
    int width = KeyValueBlock.panelWidth(bias.length, column);
    int columns = Math.min(width, bias.length - column);
    float[] panel = new float[Math.multiplyExact(inputSize, width)];
    for (int c = 0; c < columns; c++) {
      int row = (column + c) * inputSize;
      for (int i = 0; i < inputSize; i++) {
        panel[i * width + c] = weight[row + i];
      }
    }
    return panel;
  }

  /** Width of an input row. */
  public int inputSize() {
    return inputSize;
  }

  /** Width of an output row. */
  public int outputSize() {
    return bias.length;
  }

  /**
   * Multiplies each row, on the calling thread.
   *
   * @param input [rows, inputSize]; longer arrays are allowed
   * @return [rows, outputSize]
   */
  public float[] apply(AttentionKernel kernel, float[] input, int rows) {
    if (input.length / inputSize < rows) {
      throw new IllegalArgumentException(
          "Invalid input: %d values are not %d rows of %d"
              .formatted(input.length, rows, inputSize));
    }
    float[] output = new float[Math.multiplyExact(rows, outputSize())];
    int strips = (Math.min(rows, GROUP_ROWS) + ROWS - 1) / ROWS;
    int cuts = (inputSize + CUT_INPUTS - 1) / CUT_INPUTS;
    float[][] packed = new float[cuts][strips * ROWS * STRIDE];
    float[] sums = new float[strips * ROWS * PANEL_COLUMNS];
    for (int first = 0; first < rows; first += GROUP_ROWS) {
      int count = Math.min(GROUP_ROWS, rows - first);
      pack(input, first, count, packed);
      for (int panel = 0; panel < panels.length; panel++) {
        multiply(kernel, packed, count, panel, sums);
        store(sums, count, panel, output, first);
      }
    }
    return output;
  }

  /** Rows after {@code count} keep what they had: their results are not stored. */
  private void pack(float[] input, int first, int count, float[][] packed) {
    for (int cut = 0; cut < packed.length; cut++) {
      int from = cut * CUT_INPUTS;
      int inputs = Math.min(CUT_INPUTS, inputSize - from);
      for (int row = 0; row < count; row++) {
        System.arraycopy(
            input, (first + row) * inputSize + from, packed[cut], row * STRIDE, inputs);
      }
    }
  }

  private void multiply(
      AttentionKernel kernel, float[][] packed, int count, int panel, float[] sums) {
    int column = panel * PANEL_COLUMNS;
    int width = KeyValueBlock.panelWidth(bias.length, column);
    for (int row = 0; row < count; row++) {
      int target = row * PANEL_COLUMNS;
      Arrays.fill(sums, target, target + width, 0f);
      System.arraycopy(bias, column, sums, target, Math.min(width, bias.length - column));
    }
    for (int from = 0; from < inputSize; from += INPUTS_PER_SUM) {
      int inputs = Math.min(INPUTS_PER_SUM, inputSize - from);
      float[] strips = packed[from / CUT_INPUTS];
      for (int row = 0; row < count; row += ROWS) {
        kernel.weightedValues(
            strips,
            row * STRIDE + from % CUT_INPUTS,
            inputs,
            panels[panel],
            from * width,
            width,
            sums,
            row * PANEL_COLUMNS,
            PANEL_COLUMNS);
      }
    }
  }

  private void store(float[] sums, int count, int panel, float[] output, int first) {
    int column = panel * PANEL_COLUMNS;
    int columns = Math.min(PANEL_COLUMNS, bias.length - column);
    for (int row = 0; row < count; row++) {
      System.arraycopy(
          sums, row * PANEL_COLUMNS, output, (first + row) * outputSize() + column, columns);
    }
  }
}

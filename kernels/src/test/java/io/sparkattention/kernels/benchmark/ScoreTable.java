package io.sparkattention.kernels.benchmark;

import static io.sparkattention.kernels.benchmark.TextTable.number;

import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.Dropout;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.ScoreBias;
import io.sparkattention.kernels.ScoreTransform;
import java.util.ArrayList;
import java.util.List;

/** Softcap, biases and dropout against the plain kernel, one thread. */
final class ScoreTable {
  /** The rows of a table of distances, as ALiBi's and T5's biases are made. */
  private static final ScoreBias BY_DISTANCE = byDistance();

  private static final ScoreTransform SOFTCAP = new ScoreTransform(50, List.of(), Dropout.NONE);
  private static final ScoreTransform BIAS =
      new ScoreTransform(0, List.of(BY_DISTANCE), Dropout.NONE);
  private static final ScoreTransform DROPOUT =
      new ScoreTransform(0, List.of(), new Dropout(0.1, 1, 0, 0));
  private static final ScoreTransform ALL =
      new ScoreTransform(50, List.of(BY_DISTANCE), new Dropout(0.1, 1, 0, 0));

  private ScoreTable() {}

  private static ScoreBias byDistance() {
    int tokens = KernelContestant.BLOCK_TOKENS;
    float[] biases = new float[2 * tokens - 1];
    for (int i = 0; i < biases.length; i++) {
      biases[i] = -Math.abs(i - tokens + 1) / 256f;
    }
    return (head, row, key, count, target) ->
        System.arraycopy(biases, tokens - 1 - row + key, target, 0, count);
  }

  static TextTable measure(int[] headDims, int rounds) {
    TextTable table =
        new TextTable(
            1,
            "mask",
            "n",
            "headDim",
            "plain GFLOP/s",
            "softcap of it",
            "bias",
            "dropout",
            "all three");
    for (int headDim : headDims) {
      for (Mask mask : List.of(Mask.FULL, Mask.CAUSAL)) {
        addRow(table, Shape.of(4096, headDim, mask), rounds);
      }
    }
    return table;
  }

  private static void addRow(TextTable table, Shape shape, int rounds) {
    AttentionCase c = shape.draw();
    List<Contestant> contestants = new ArrayList<>();
    for (ScoreTransform transform : List.of(ScoreTransform.NONE, SOFTCAP, BIAS, DROPOUT, ALL)) {
      contestants.add(
          new KernelContestant(
              AttentionKernels.auto().kernel(), c, shape.mask(), ElementType.F32, 1, transform));
    }
    Rounds measured = Interleaved.measure(contestants, rounds);
    List<String> cells = new ArrayList<>();
    cells.add(shape.mask().name());
    cells.add(Integer.toString(shape.queries()));
    cells.add(Integer.toString(shape.layout().keyDim()));
    cells.add(number(measured.gflops(0, shape.flops()), 1));
    for (int i = 1; i < contestants.size(); i++) {
      cells.add(number(Rounds.median(measured.speedups(i, 0)), 3));
    }
    table.row(cells);
  }
}

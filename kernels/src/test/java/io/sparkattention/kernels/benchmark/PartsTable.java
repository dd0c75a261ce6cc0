package io.sparkattention.kernels.benchmark;

import static io.sparkattention.kernels.benchmark.TextTable.number;

import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.LeafFolding;
import java.util.List;

/** What surrounds the inner loops of one full block pair: each part beside the whole fold. */
final class PartsTable {
  private static final int TOKENS = 4096;
  private static final int BLOCK = KernelContestant.BLOCK_TOKENS;

  /** Key blocks that a query block meets, so that one part of each kind is as it is in a fold. */
  private static final int BLOCKS = TOKENS / BLOCK;

  private final TextTable table =
      new TextTable(1, "part", "headDim", "ns/element", "of the time at n = " + TOKENS);

  private PartsTable() {}

  static TextTable measure(int[] headDims, int rounds) {
    PartsTable parts = new PartsTable();
    for (int headDim : headDims) {
      parts.measure(headDim, rounds);
    }
    return parts.table;
  }

  private void measure(int headDim, int rounds) {
    Shape shape = Shape.of(TOKENS, headDim, Mask.FULL);
    AttentionCase c = shape.draw();
    LeafFolding leaves = new LeafFolding(BLOCK, headDim);
    AttentionState finished = attended(c, headDim);
    float[] output = new float[headDim];
    List<Contestant> contestants =
        List.of(
            new KernelContestant(AttentionKernels.auto().kernel(), c, shape.mask()),
            Contestant.of("pack queries", () -> c.queryBlock(0, BLOCK)),
            Contestant.of("pack keys and values", () -> c.keyValueBlock(0, BLOCK)),
            Contestant.of("new state", () -> new AttentionState(1, BLOCK, headDim)),
            Contestant.of("fold leaves into the state", leaves::run),
            Contestant.of("finish", () -> finish(finished, output)));
    Rounds measured = Interleaved.measure(contestants, rounds);
    int elements = BLOCK * headDim;
    // Keys and values are two arrays; a query block meets one leaf for each key block.
    addRow(contestants, measured, 1, headDim, elements, BLOCKS);
    addRow(contestants, measured, 2, headDim, 2 * elements, BLOCKS);
    addRow(contestants, measured, 3, headDim, elements, BLOCKS);
    addRow(contestants, measured, 4, headDim, elements, BLOCKS * BLOCKS);
    addRow(contestants, measured, 5, headDim, elements, BLOCKS);
  }

  private void addRow(
      List<Contestant> contestants,
      Rounds measured,
      int part,
      int headDim,
      int elements,
      int timesInWhole) {
    double nanos = measured.seconds(part) * 1e9;
    double share = timesInWhole / Rounds.median(measured.speedups(part, 0));
    table.row(
        contestants.get(part).name(),
        Integer.toString(headDim),
        number(nanos / elements, 2),
        number(100 * share, 2) + " %");
  }

  private static AttentionState attended(AttentionCase c, int headDim) {
    AttentionState state = new AttentionState(1, BLOCK, headDim);
    AttentionKernels.auto()
        .kernel()
        .fold(
            c.queryBlock(0, BLOCK),
            c.keyValueBlock(0, BLOCK),
            Mask.FULL.visible(0, BLOCK, 0, BLOCK),
            state);
    return state;
  }

  private static void finish(AttentionState state, float[] output) {
    for (int row = 0; row < state.rows(); row++) {
      state.finish(0, row, output, 0);
    }
  }
}

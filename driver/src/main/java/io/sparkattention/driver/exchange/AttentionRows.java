package io.sparkattention.driver.exchange;

import io.sparkattention.driver.scores.Scores;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.partitioning.Block;

/**
 * The finished attention of one query block.
 *
 * @param block sequence and query positions
 * @param output [tokens, numHeads, valueDim]
 * @param logSumExp [tokens, numHeads]
 */
@SuppressWarnings("ArrayRecordComponent")
public record AttentionRows(Block block, float[] output, float[] logSumExp) implements RankResult {
  /** Adds the sinks, divides by the denominators and takes the logarithms. */
  static AttentionRows finish(Block block, AttentionState state, Scores scores) {
    int heads = state.heads();
    int valueDim = state.valueDim();
    float[] output = new float[Math.multiplyExact(state.rows() * heads, valueDim)];
    float[] logSumExp = new float[state.rows() * heads];
    for (int row = 0; row < state.rows(); row++) {
      for (int head = 0; head < heads; head++) {
        int index = row * heads + head;
        logSumExp[index] =
            state.finish(
                head,
                row,
                scores.sink(head),
                scores.dropoutProbability(),
                output,
                index * valueDim);
      }
    }
    return new AttentionRows(block, output, logSumExp);
  }
}

package io.sparkattention.driver;

import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.BlockGrid;
import io.sparkattention.partitioning.TopK;
import java.util.List;

/** What blocks, states and masks can hold: refused when the plan is made, with the remedy. */
record PlanLimits(HeadLayout layout, BlockGrid grid) {
  /**
   * Checks one sequence, before its blocks are listed, which memory might not hold.
   *
   * @throws InvalidInputException if it has more key blocks than a state may merge, or a block is
   *     too large
   */
  void check(SequenceShape shape) {
    checkLeaves(shape);
    checkBlock(shape);
  }

  /**
   * Checks the mask against all sequences.
   *
   * @param offsets [sequences]
   * @throws InvalidInputException if the mask was written for longer sequences, or chooses among
   *     blocks that are no part of the grid's
   */
  void check(AttentionMask mask, List<SequenceShape> sequences, long[] offsets) {
    checkNamedEnd(mask, sequences, offsets);
    mask.topK().ifPresent(topK -> checkTopK(topK, sequences));
  }

  private void checkLeaves(SequenceShape shape) {
    long keyBlockCount = grid.index(shape.keys() - 1) + 1;
    if (keyBlockCount > AttentionState.MAX_LEAVES) {
      throw new InvalidInputException(
          "Cannot merge %d key blocks of sequence '%s' exactly: expected at most %d, raise %s"
              .formatted(
                  keyBlockCount,
                  shape.id(),
                  AttentionState.MAX_LEAVES,
                  AttentionConfig.Key.BLOCK_TOKENS.option()));
    }
  }

  /** The arrays of a block, and of its state, are indexed by int. */
  private void checkBlock(SequenceShape shape) {
    long tokens = Math.min(grid.blockTokens(), Math.max(shape.queries(), shape.keys()));
    // Keys are padded to panels of 64, value columns to 16; a state has one element more.
    long rows = Math.addExact(tokens, 63);
    long width = Math.max(layout.keyDim(), layout.valueDim() + 16L);
    if ((double) rows * layout.numHeads() * width > Integer.MAX_VALUE) {
      throw new InvalidInputException(
          "Cannot hold a block of %d tokens × %d heads × %d in an array: expected at most 2^31, lower %s"
              .formatted(
                  tokens, layout.numHeads(), width, AttentionConfig.Key.BLOCK_TOKENS.option()));
    }
  }

  /**
   * A list for a longer sequence is a list for another one: the mask would not be what is meant.
   */
  private static void checkNamedEnd(
      AttentionMask mask, List<SequenceShape> sequences, long[] offsets) {
    long longest = 0;
    for (int s = 0; s < offsets.length; s++) {
      SequenceShape shape = sequences.get(s);
      long queryEnd = shape.firstQuery() + shape.queries() + offsets[s];
      longest = Math.max(longest, Math.max(shape.keys(), queryEnd));
    }
    if (mask.namedEnd() > longest) {
      throw new InvalidInputException(
          "Cannot use mask '%s': it names what begins at position %d, expected positions below %d, where the longest sequence ends; correct its list or BLOCKS"
              .formatted(mask.summary(), mask.namedEnd() - 1, longest));
    }
  }

  /** A chosen block lies in one key block, whose owner computes its mean key. */
  private void checkTopK(TopK topK, List<SequenceShape> sequences) {
    if (grid.blockTokens() % topK.blockTokens() != 0) {
      throw new InvalidInputException(
          "Cannot choose key blocks of %d tokens: expected a SIZE that divides the %d tokens of a block; correct the mask or %s"
              .formatted(
                  topK.blockTokens(),
                  grid.blockTokens(),
                  AttentionConfig.Key.BLOCK_TOKENS.option()));
    }
    long width = (long) layout.numKeyValueHeads() * layout.keyDim();
    long longest = sequences.stream().mapToLong(SequenceShape::keys).max().orElse(0);
    if ((double) longest / topK.blockTokens() * width > Integer.MAX_VALUE) {
      throw new InvalidInputException(
          "Cannot hold the mean keys of %d tokens in an array: expected at most 2^31 numbers, raise the mask's SIZE of %d"
              .formatted(longest, topK.blockTokens()));
    }
  }
}

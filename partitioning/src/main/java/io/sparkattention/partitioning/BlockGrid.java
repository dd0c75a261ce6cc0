package io.sparkattention.partitioning;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * The fixed grid on positions: block g covers [g·blockTokens, (g+1)·blockTokens). It never depends
 * on the number of ranks, so that results do not either.
 *
 * @param blockTokens positions per block, at least 1
 */
public record BlockGrid(int blockTokens) implements Serializable {

  /**
   * @throws IllegalArgumentException if blockTokens is not positive
   */
  public BlockGrid {
    if (blockTokens < 1) {
      throw new IllegalArgumentException(
          "Invalid block size: " + blockTokens + " tokens (expected >= 1)");
    }
  }

  /**
   * Cuts the positions [firstPosition, firstPosition + tokens) of a sequence at the grid's lines.
   * The first position need not lie on one, so that the first block may be short, as may the last.
   *
   * @return the blocks in ascending order; none where there are no tokens
   * @throws IllegalArgumentException if an argument is negative or a position exceeds {@link
   *     Block#MAX_POSITION}
   */
  public List<Block> blocks(int sequence, long firstPosition, long tokens) {
    if (tokens < 0) {
      throw new IllegalArgumentException("Invalid length: " + tokens + " tokens (expected >= 0)");
    }
    if (tokens == 0) {
      return List.of();
    }
    Block whole = new Block(sequence, firstPosition, Math.addExact(firstPosition, tokens));
    List<Block> blocks = new ArrayList<>();
    for (long start = whole.start(); start < whole.end(); ) {
      long end = Math.min(whole.end(), (index(start) + 1) * blockTokens);
      blocks.add(new Block(sequence, start, end));
      start = end;
    }
    return blocks;
  }

  /** The number g of the block that covers a position (from 0). */
  public long index(long position) {
    return position / blockTokens;
  }
}

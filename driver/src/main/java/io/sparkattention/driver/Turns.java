package io.sparkattention.driver;

import io.sparkattention.partitioning.Block;
import java.util.Arrays;
import java.util.List;

/**
 * The query blocks of a task, cut into turns where memory does not hold all of them with their
 * states: each turn is a task of its own and passes over the keys that its queries see.
 *
 * @param ofBlocks [queryBlocks]: the turn of each, from 0
 * @param count turns of the owner that needs the most; at least 1
 * @param taskBytes what the largest turn needs
 */
@SuppressWarnings("ArrayRecordComponent")
record Turns(int[] ofBlocks, int count, long taskBytes) {
  /**
   * Fills one turn after the other, in the order of the blocks.
   *
   * @param owners of each block, from 0 to below {@code ownerCount}; each cuts its own turns
   * @param maxBytes of a turn, where more than one block is in it
   */
  static Turns cut(
      TaskMemory memory, List<Block> blocks, int[] owners, int ownerCount, long maxBytes) {
    long standing = memory.standingBytes();
    int[] turn = new int[ownerCount];
    long[] filled = new long[ownerCount];
    Arrays.fill(filled, standing);
    int[] ofBlocks = new int[blocks.size()];
    long largest = standing;
    for (int i = 0; i < ofBlocks.length; i++) {
      int owner = owners[i];
      long bytes = memory.queryBytes(blocks.get(i));
      if (filled[owner] > standing && filled[owner] + bytes > maxBytes) {
        turn[owner]++;
        filled[owner] = standing;
      }
      filled[owner] += bytes;
      largest = Math.max(largest, filled[owner]);
      ofBlocks[i] = turn[owner];
    }
    return new Turns(ofBlocks, Arrays.stream(turn).max().orElse(0) + 1, largest);
  }
}

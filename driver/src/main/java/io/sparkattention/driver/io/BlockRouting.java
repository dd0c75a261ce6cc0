package io.sparkattention.driver.io;

import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockGrid;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;

/** Where a row of a dataset belongs: from sequence and position to a block and its partition. */
final class BlockRouting implements Serializable {
  private static final long serialVersionUID = 1L;

  private final BlockGrid grid;
  private final Block[] blocks;
  private final int[] partitions;

  /** [sequences]: index of the sequence's first block. */
  private final int[] firstBlock;

  /**
   * @param blocks all blocks, by sequence and position
   * @param partitions [blocks]: the partition of each block
   */
  BlockRouting(BlockGrid grid, List<Block> blocks, int[] partitions, int sequences) {
    this.grid = grid;
    this.blocks = blocks.toArray(Block[]::new);
    this.partitions = partitions;
    this.firstBlock = new int[sequences];
    Arrays.fill(firstBlock, -1);
    for (int i = 0; i < this.blocks.length; i++) {
      int sequence = this.blocks[i].sequence();
      firstBlock[sequence] = firstBlock[sequence] < 0 ? i : firstBlock[sequence];
    }
  }

  /** Index of the block that holds a position of a sequence. */
  int block(int sequence, long position) {
    int first = firstBlock[sequence];
    return first + (int) (grid.index(position) - grid.index(blocks[first].start()));
  }

  int blockTokens() {
    return grid.blockTokens();
  }

  Block positions(int block) {
    return blocks[block];
  }

  int partition(int block) {
    return partitions[block];
  }
}

package io.sparkattention.driver.io;

import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/** Where a row of a dataset belongs: from sequence and position to a block and its partition. */
final class BlockRouting implements Serializable {
  private static final long serialVersionUID = 1L;

  private final Block[] blocks;
  private final int[] partitions;

  /** [blocks]: first position of each. */
  private final long[] starts;

  /** [sequences + 1]: index of the sequence's first block. */
  private final int[] firstBlock;

  /**
   * @param blocks all blocks, by sequence and position, without gaps
   * @param partitions [blocks]: the partition of each block
   */
  BlockRouting(List<Block> blocks, int[] partitions, int sequences) {
    this.blocks = blocks.toArray(Block[]::new);
    this.partitions = partitions;
    this.starts = blocks.stream().mapToLong(Block::start).toArray();
    this.firstBlock = new int[sequences + 1];
    blocks.forEach(block -> firstBlock[block.sequence() + 1]++);
    Arrays.parallelPrefix(firstBlock, Integer::sum);
  }

  /** Index of the block that holds a position of a sequence. */
  int block(int sequence, long position) {
    int found =
        Arrays.binarySearch(starts, firstBlock[sequence], firstBlock[sequence + 1], position);
    return found >= 0 ? found : -found - 2;
  }

  /** Positions of the largest block. */
  int blockTokens() {
    return Stream.of(blocks).mapToInt(Block::tokens).max().orElse(0);
  }

  Block positions(int block) {
    return blocks[block];
  }

  int partition(int block) {
    return partitions[block];
  }
}

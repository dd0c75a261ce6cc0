package io.sparkattention.partitioning;

import java.util.List;

/**
 * The work of blocks for {@link BlockAssignment#ranks}, in visible (query, key) pairs. Each block
 * meets the whole other side of its sequence at once: constant time per block where the mask's
 * count is a closed form.
 */
public final class BlockWork {

  private BlockWork() {}

  /**
   * The visible pairs of each query block with all keys of its sequence.
   *
   * @param offsets offset of each sequence, as in {@link AttentionMask}
   * @param queryBlocks blocks in any order
   * @param keyBlocks blocks in any order; those of one sequence leave no gap
   * @return [queryBlocks]
   */
  public static long[] queryWork(
      AttentionMask mask, long[] offsets, List<Block> queryBlocks, List<Block> keyBlocks) {
    Block[] keys = sequences(keyBlocks, offsets.length);
    return queryBlocks.stream()
        .mapToLong(query -> pairs(mask, offsets, query, keys[query.sequence()]))
        .toArray();
  }

  /**
   * The visible pairs of each key block with all queries of its sequence: what the owner of a key
   * block computes where the queries travel.
   *
   * @param offsets offset of each sequence, as in {@link AttentionMask}
   * @param queryBlocks blocks in any order; those of one sequence leave no gap
   * @param keyBlocks blocks in any order
   * @return [keyBlocks]
   */
  public static long[] keyWork(
      AttentionMask mask, long[] offsets, List<Block> queryBlocks, List<Block> keyBlocks) {
    Block[] queries = sequences(queryBlocks, offsets.length);
    return keyBlocks.stream()
        .mapToLong(key -> pairs(mask, offsets, queries[key.sequence()], key))
        .toArray();
  }

  private static long pairs(AttentionMask mask, long[] offsets, Block query, Block key) {
    return query == null || key == null
        ? 0
        : mask.visiblePairs(query, key, offsets[key.sequence()]);
  }

  /** The whole of each sequence as one block, null where it has none. */
  private static Block[] sequences(List<Block> blocks, int count) {
    Block[] whole = new Block[count];
    for (Block block : blocks) {
      int sequence = block.sequence();
      Block known = whole[sequence] == null ? block : whole[sequence];
      whole[sequence] =
          new Block(
              sequence, Math.min(known.start(), block.start()), Math.max(known.end(), block.end()));
    }
    return whole;
  }
}

package io.sparkattention.partitioning;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToLongFunction;

/**
 * The work of blocks for {@link BlockAssignment#ranks}, in visible (query, key) pairs. Each block
 * meets the whole other side of its sequence at once: constant time per block where the mask's
 * count is a closed form.
 */
public final class BlockWork {

  /** Blocks per rank from which {@link #cutHeavy} promises a level assignment. */
  private static final int CUT_FROM = 8;

  private static final double CUT_SKEW = 1.10;

  /** Largest work of a block as a share of a rank's, coarse first: a part costs a visit of keys. */
  private static final double[] CUT_SHARES = {0.8, 0.4, 0.2, 0.1};

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

  /**
   * Query blocks that {@link BlockAssignment#BALANCED} can level to within 1.10 of the mean, for
   * any mask and any mix of lengths: where it cannot as they are, since a few blocks have more work
   * than a rank's share (global queries, one long sequence among short ones), those are halved, up
   * to a tenth of the share or single queries. Greedy assignment of parts no larger than that ends
   * within 1.1 (Graham 1966). The grid of the keys alone decides the bits of a result, so they stay
   * the same. Fewer than eight blocks per rank are left as they are: that input is small, or
   * smaller blocks are the remedy.
   *
   * @param offsets offset of each sequence, as in {@link AttentionMask}
   * @param queryBlocks blocks in any order
   * @param keyBlocks blocks in any order; those of one sequence leave no gap
   * @param ringSize number of ranks
   * @return the blocks in their order, a cut one replaced by its parts
   */
  public static List<Block> cutHeavy(
      AttentionMask mask,
      long[] offsets,
      List<Block> queryBlocks,
      List<Block> keyBlocks,
      int ringSize) {
    if (queryBlocks.size() < (long) CUT_FROM * ringSize) {
      return queryBlocks;
    }
    Block[] keys = sequences(keyBlocks, offsets.length);
    ToLongFunction<Block> work = query -> pairs(mask, offsets, query, keys[query.sequence()]);
    List<Block> blocks = queryBlocks;
    for (double share : CUT_SHARES) {
      long[] works = blocks.stream().mapToLong(work).toArray();
      if (BlockAssignment.BALANCED.skew(works, ringSize) <= CUT_SKEW) {
        break;
      }
      double limit = share * Arrays.stream(works).asDoubleStream().sum() / ringSize;
      List<Block> parts = new ArrayList<>();
      for (int i = 0; i < works.length; i++) {
        addParts(blocks.get(i), works[i], limit, work, parts);
      }
      blocks = parts;
    }
    return blocks;
  }

  private static void addParts(
      Block block, long size, double limit, ToLongFunction<Block> work, List<Block> parts) {
    if (size <= limit || block.tokens() == 1) {
      parts.add(block);
      return;
    }
    long middle = block.start() + block.tokens() / 2;
    for (Block half :
        List.of(
            new Block(block.sequence(), block.start(), middle),
            new Block(block.sequence(), middle, block.end()))) {
      addParts(half, work.applyAsLong(half), limit, work, parts);
    }
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

package io.sparkattention.partitioning;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/**
 * The ring of one sequence under a mask, as {@code ring} plans it: query blocks by an assignment,
 * keys contiguous, shards in which a rank sees no key left out. Consecutive query blocks of a rank
 * are looked at as one.
 */
final class MaskedRing implements RingSimulation.Work {
  private final AttentionMask mask;
  private final double bytesPerToken;

  /** [ranks]: of a visible pair of all heads. */
  private final double[] pairSeconds;

  /** [ranks][runs of query blocks]. */
  private final Block[][] queries;

  /** [shards]: null where there are fewer blocks than ranks. */
  private final Block[] shards;

  /** [ranks]: shards in which it sees a key. */
  private final BitSet[] visited;

  /**
   * @param queryBlocks those of one sequence, in order
   * @param queryRanks [queryBlocks]: the rank of each
   * @param keyBlocks of the same sequence, in order
   * @param bytesPerToken of keys and values
   * @param pairSeconds [ranks]: what a visible pair takes, all heads together
   */
  MaskedRing(
      AttentionMask mask,
      List<Block> queryBlocks,
      int[] queryRanks,
      List<Block> keyBlocks,
      double bytesPerToken,
      double[] pairSeconds) {
    int ranks = pairSeconds.length;
    this.mask = mask;
    this.bytesPerToken = bytesPerToken;
    this.pairSeconds = pairSeconds;
    this.queries = joined(queryBlocks, queryRanks, ranks);
    Block[][] keys =
        joined(
            keyBlocks, BlockAssignment.CONTIGUOUS.ranks(new long[keyBlocks.size()], ranks), ranks);
    this.shards = new Block[ranks];
    int owning = 0;
    for (int shard = 0; shard < ranks; shard++) {
      shards[shard] = keys[shard].length == 0 ? null : keys[shard][0];
      owning += keys[shard].length;
    }
    this.visited = new BitSet[ranks];
    for (int rank = 0; rank < ranks; rank++) {
      visited[rank] = new BitSet();
      for (Block query : queries[rank]) {
        look(query, 0, owning, visited[rank]);
      }
    }
  }

  /** [ranks][runs]: each rank's blocks, consecutive ones as one. */
  private static Block[][] joined(List<Block> blocks, int[] owners, int ranks) {
    List<List<Block>> joined = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      joined.add(new ArrayList<>());
    }
    int first = 0;
    for (int i = 1; i <= owners.length; i++) {
      if (i == owners.length || owners[i] != owners[first]) {
        joined
            .get(owners[first])
            .add(new Block(0, blocks.get(first).start(), blocks.get(i - 1).end()));
        first = i;
      }
    }
    return joined.stream().map(runs -> runs.toArray(Block[]::new)).toArray(Block[][]::new);
  }

  /** Notes the shards in [from, to) in which the query sees a key. */
  private void look(Block query, int from, int to, BitSet seen) {
    Block keys = new Block(0, shards[from].start(), shards[to - 1].end());
    Coverage coverage = mask.coverage(query, keys, 0);
    if (coverage == Coverage.FULL) {
      seen.set(from, to);
    } else if (coverage == Coverage.PARTIAL && to - from > 1) {
      int middle = (from + to) >>> 1;
      look(query, from, middle, seen);
      look(query, middle, to, seen);
    } else if (coverage == Coverage.PARTIAL && mask.visiblePairs(query, keys, 0) > 0) {
      seen.set(from);
    }
  }

  @Override
  public int ranks() {
    return shards.length;
  }

  @Override
  public int nextStep(int rank, int step) {
    int shard = rank + step;
    if (shard < shards.length) {
      int found = visited[rank].nextSetBit(shard);
      if (found >= 0) {
        return found - rank;
      }
      shard = shards.length;
    }
    int found = visited[rank].nextSetBit(shard - shards.length);
    return found >= 0 && found < rank ? found + shards.length - rank : -1;
  }

  @Override
  public double foldSeconds(int rank, int step) {
    Block keys = shards[(rank + step) % shards.length];
    long pairs = 0;
    for (Block query : queries[rank]) {
      pairs += mask.visiblePairs(query, keys, 0);
    }
    return pairs * pairSeconds[rank];
  }

  @Override
  public double shardBytes(int shard) {
    return (shards[shard].end() - shards[shard].start()) * bytesPerToken;
  }

  @Override
  public boolean symmetric() {
    return false;
  }
}

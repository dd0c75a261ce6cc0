package io.sparkattention.partitioning;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;

/**
 * The ring of one sequence under a mask, as {@code ring} plans it: query blocks by an assignment,
 * keys contiguous, shards in which a rank sees no key left out. What a rank computes in a shard is
 * counted beforehand, in pieces of shards that all its queries see whole or not at all, and single
 * shards of which some query sees a part: a step then takes a search among a few pieces.
 */
final class MaskedRing implements RingSimulation.Work {
  private final AttentionMask mask;
  private final double bytesPerToken;

  /** [ranks]: of a visible pair of all heads. */
  private final double[] pairSeconds;

  /** [shards that are not empty]. */
  private final Block[] shards;

  /** [ranks]. */
  private final Pieces[] pieces;

  /**
   * Shards in which a rank sees a key.
   *
   * @param from [pieces], ascending: first shard of each
   * @param to [pieces]: one past the last
   * @param rows [pieces]: queries that see all of each shard
   * @param pairs [pieces]: visible pairs of the others; the piece then has one shard
   */
  private record Pieces(int[] from, int[] to, long[] rows, long[] pairs) {
    /** The piece that holds the shard or, if none does, the next one. */
    int find(int shard) {
      int found = Arrays.binarySearch(to, shard + 1);
      return found >= 0 ? found : -found - 1;
    }
  }

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
    int[] keyShards = BlockAssignment.CONTIGUOUS.ranks(new long[keyBlocks.size()], ranks);
    this.shards =
        joined(keyBlocks, keyShards, ranks).stream()
            .filter(keys -> !keys.isEmpty())
            .map(keys -> keys.get(0))
            .toArray(Block[]::new);
    this.pieces =
        joined(queryBlocks, queryRanks, ranks).stream().map(this::pieces).toArray(Pieces[]::new);
  }

  /** [ranks][runs]: each rank's blocks, consecutive ones as one. */
  private static List<List<Block>> joined(List<Block> blocks, int[] owners, int ranks) {
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
    return joined;
  }

  private Pieces pieces(List<Block> queries) {
    // What changes at a shard: the queries that see it whole and so on, and pairs of that shard.
    TreeMap<Integer, Long> rowChanges = new TreeMap<>();
    TreeMap<Integer, Long> partPairs = new TreeMap<>();
    for (Block query : queries) {
      look(query, 0, shards.length, rowChanges, partPairs);
    }
    for (int shard : partPairs.keySet()) {
      rowChanges.merge(shard, 0L, Long::sum);
      rowChanges.merge(shard + 1, 0L, Long::sum);
    }
    int[] starts = rowChanges.keySet().stream().mapToInt(Integer::intValue).toArray();
    Pieces all =
        new Pieces(
            new int[starts.length],
            new int[starts.length],
            new long[starts.length],
            new long[starts.length]);
    int count = 0;
    long rows = 0;
    for (int i = 0; i + 1 < starts.length; i++) {
      rows += rowChanges.get(starts[i]);
      long pairs = partPairs.getOrDefault(starts[i], 0L);
      if (rows > 0 || pairs > 0) {
        all.from[count] = starts[i];
        all.to[count] = starts[i + 1];
        all.rows[count] = rows;
        all.pairs[count++] = pairs;
      }
    }
    return new Pieces(
        Arrays.copyOf(all.from, count),
        Arrays.copyOf(all.to, count),
        Arrays.copyOf(all.rows, count),
        Arrays.copyOf(all.pairs, count));
  }

  /** Notes what the query sees of the shards in [from, to). */
  private void look(
      Block query,
      int from,
      int to,
      TreeMap<Integer, Long> rowChanges,
      TreeMap<Integer, Long> partPairs) {
    Block keys = new Block(0, shards[from].start(), shards[to - 1].end());
    Coverage coverage = mask.coverage(query, keys, 0);
    if (coverage == Coverage.FULL) {
      rowChanges.merge(from, query.end() - query.start(), Long::sum);
      rowChanges.merge(to, query.start() - query.end(), Long::sum);
    } else if (coverage == Coverage.PARTIAL && to - from > 1) {
      int middle = (from + to) >>> 1;
      look(query, from, middle, rowChanges, partPairs);
      look(query, middle, to, rowChanges, partPairs);
    } else if (coverage == Coverage.PARTIAL) {
      long visible = mask.visiblePairs(query, keys, 0);
      if (visible > 0) {
        partPairs.merge(from, visible, Long::sum);
      }
    }
  }

  @Override
  public int ranks() {
    return pieces.length;
  }

  @Override
  public int nextStep(int rank, int step) {
    Pieces own = pieces[rank];
    int shard = rank + step;
    if (shard < pieces.length) {
      int piece = own.find(shard);
      if (piece < own.to.length) {
        return Math.max(shard, own.from[piece]) - rank;
      }
      shard = pieces.length;
    }
    shard -= pieces.length;
    int piece = own.find(shard);
    if (piece == own.to.length) {
      return -1;
    }
    int found = Math.max(shard, own.from[piece]);
    return found < rank ? found + pieces.length - rank : -1;
  }

  @Override
  public double foldSeconds(int rank, int step) {
    int shard = rank + step < pieces.length ? rank + step : rank + step - pieces.length;
    Pieces own = pieces[rank];
    int piece = own.find(shard);
    Block keys = shards[shard];
    double pairs = (double) own.rows[piece] * (keys.end() - keys.start()) + own.pairs[piece];
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

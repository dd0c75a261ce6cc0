package io.sparkattention.partitioning;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;

/**
 * The ring of one sequence under a mask, as {@code ring} plans it: query blocks by an assignment,
 * keys contiguous and cut into runs, the unit that is fetched, runs in which a rank sees no key
 * left out. What a rank computes is counted beforehand, in pieces of runs that all its queries see
 * whole or not at all, and single runs of which some query sees a part: a step then takes a search
 * among a few pieces.
 */
final class MaskedRing implements RingSimulation.Work {
  private final AttentionMask mask;
  private final double bytesPerToken;

  /** [ranks]: of a visible pair of all heads. */
  private final double[] pairSeconds;

  /** [runs]: its keys. */
  private final Block[] runs;

  /** [runs]. */
  private final int[] runShards;

  /** [ranks + 1]: the first run of each shard. */
  private final int[] firstRun;

  /** [ranks]. */
  private final Pieces[] pieces;

  /**
   * Runs in which a rank sees a key.
   *
   * @param from [pieces], ascending: first run of each
   * @param to [pieces]: one past the last
   * @param rows [pieces]: queries that see all of each run
   * @param pairs [pieces]: visible pairs of the others; the piece then has one run
   */
  private record Pieces(int[] from, int[] to, long[] rows, long[] pairs) {
    /** The piece that holds the run or, if none does, the next one. */
    int find(int run) {
      int found = Arrays.binarySearch(to, run + 1);
      return found >= 0 ? found : -found - 1;
    }
  }

  /**
   * @param queryBlocks those of one sequence, in order
   * @param queryRanks [queryBlocks]: the rank of each
   * @param keyRuns of the same sequence, in order; see {@link RingSchedule#runs}
   * @param runShards [keyRuns]: the shard of each, ascending
   * @param bytesPerToken of keys and values
   * @param pairSeconds [ranks]: what a visible pair takes, all heads together
   */
  MaskedRing(
      AttentionMask mask,
      List<Block> queryBlocks,
      int[] queryRanks,
      List<List<Block>> keyRuns,
      int[] runShards,
      double bytesPerToken,
      double[] pairSeconds) {
    int ranks = pairSeconds.length;
    this.mask = mask;
    this.bytesPerToken = bytesPerToken;
    this.pairSeconds = pairSeconds;
    this.runs =
        keyRuns.stream()
            .map(run -> new Block(0, run.get(0).start(), run.get(run.size() - 1).end()))
            .toArray(Block[]::new);
    this.runShards = runShards;
    this.firstRun = new int[ranks + 1];
    for (int shard : runShards) {
      firstRun[shard + 1]++;
    }
    Arrays.parallelPrefix(firstRun, Integer::sum);
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
    // How many more queries see a run whole than the run before, and the pairs of the others.
    TreeMap<Integer, Long> rowChanges = new TreeMap<>();
    TreeMap<Integer, Long> partPairs = new TreeMap<>();
    for (Block query : queries) {
      look(query, 0, runs.length, rowChanges, partPairs);
    }
    for (int run : partPairs.keySet()) {
      rowChanges.merge(run, 0L, Long::sum);
      rowChanges.merge(run + 1, 0L, Long::sum);
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

  /** Notes what the query sees of the runs in [from, to). */
  private void look(
      Block query,
      int from,
      int to,
      TreeMap<Integer, Long> rowChanges,
      TreeMap<Integer, Long> partPairs) {
    Block keys = new Block(0, runs[from].start(), runs[to - 1].end());
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
    int ranks = pieces.length;
    int shard = rank + step;
    if (shard < ranks) {
      int found = nextShard(rank, shard);
      if (found < ranks) {
        return found - rank;
      }
      shard = ranks;
    }
    int found = nextShard(rank, shard - ranks);
    return found < rank ? found + ranks - rank : -1;
  }

  /** The first shard from this one on in which the rank sees a key; the number of ranks if none. */
  private int nextShard(int rank, int shard) {
    Pieces own = pieces[rank];
    int piece = own.find(firstRun[shard]);
    return piece == own.to.length
        ? pieces.length
        : runShards[Math.max(firstRun[shard], own.from[piece])];
  }

  @Override
  public double foldSeconds(int rank, int step) {
    int shard = shard(rank, step);
    Pieces own = pieces[rank];
    int end = firstRun[shard + 1];
    double pairs = 0;
    for (int i = own.find(firstRun[shard]); i < own.to.length && own.from[i] < end; i++) {
      pairs += own.rows[i] * tokens(own, i, shard) + own.pairs[i];
    }
    return pairs * pairSeconds[rank];
  }

  @Override
  public double fetchBytes(int rank, int step) {
    int shard = shard(rank, step);
    Pieces own = pieces[rank];
    int end = firstRun[shard + 1];
    double tokens = 0;
    for (int i = own.find(firstRun[shard]); i < own.to.length && own.from[i] < end; i++) {
      tokens += tokens(own, i, shard);
    }
    return tokens * bytesPerToken;
  }

  private int shard(int rank, int step) {
    return rank + step < pieces.length ? rank + step : rank + step - pieces.length;
  }

  /** Keys of the runs that a piece and a shard have in common. */
  private double tokens(Pieces own, int piece, int shard) {
    int from = Math.max(own.from[piece], firstRun[shard]);
    int to = Math.min(own.to[piece], firstRun[shard + 1]);
    return runs[to - 1].end() - runs[from].start();
  }

  @Override
  public boolean symmetric() {
    return false;
  }
}

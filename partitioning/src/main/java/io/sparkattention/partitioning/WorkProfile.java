package io.sparkattention.partitioning;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What each block of a workload costs, for any assignment: what {@link CostModel} is asked with.
 * Built once, it gives the work and the key blocks of the ranks of an assignment in time linear in
 * blocks, where a {@link RingSchedule} visits all pairs of them: runs of key blocks that a query
 * block sees whole are found by one look at the mask.
 */
public final class WorkProfile {
  /** Query rows that the kernel computes at once. */
  public static final int STRIP = 6;

  /** Keys that it computes at once. */
  public static final int PANEL = 64;

  private final AttentionMask mask;
  private final long[] offsets;
  private final List<Block> queryBlocks;
  private final List<Block> keyBlocks;
  private final long[] queryWork;
  private final PanelSample sample;

  /** [queryBlocks][2 · ranges]: begin and end of consecutive key blocks in which it sees a key. */
  private final int[][] seen;

  /** [queryBlocks]: key blocks of which it sees a part. */
  private final int[] partial;

  /** [keyBlocks]: queries that see some of it in part, as a sum over query blocks. */
  private final double[] partialRows;

  /** Key blocks of the query block that is looked at. */
  private int[] ranges = new int[64];

  private int rangeEnd;
  private long full;

  /**
   * Looks at all pairs of blocks.
   *
   * @param offsets offset of each sequence, as in {@link AttentionMask}
   * @param queryBlocks in (sequence, position) order
   * @param keyBlocks in (sequence, position) order
   * @param queryWork [queryBlocks]: visible pairs of each, as {@link BlockWork#queryWork} counts
   */
  public WorkProfile(
      AttentionMask mask,
      long[] offsets,
      List<Block> queryBlocks,
      List<Block> keyBlocks,
      long[] queryWork) {
    this.mask = mask;
    this.offsets = offsets;
    this.queryBlocks = queryBlocks;
    this.keyBlocks = keyBlocks;
    this.queryWork = queryWork;
    this.sample = new PanelSample(mask, offsets);
    this.seen = new int[queryBlocks.size()][];
    this.partial = new int[queryBlocks.size()];
    this.partialRows = new double[keyBlocks.size()];
    int[] keysBefore = keysBefore();
    for (int q = 0; q < seen.length; q++) {
      int sequence = queryBlocks.get(q).sequence();
      rangeEnd = 0;
      if (queryWork[q] > 0) {
        look(q, keysBefore[sequence], keysBefore[sequence + 1]);
      }
      seen[q] = Arrays.copyOf(ranges, rangeEnd);
    }
    sample.count();
  }

  /** [sequences + 1]: key blocks of earlier sequences. */
  private int[] keysBefore() {
    int[] before = new int[offsets.length + 1];
    for (Block key : keyBlocks) {
      before[key.sequence() + 1]++;
    }
    Arrays.parallelPrefix(before, Integer::sum);
    return before;
  }

  /** Looks among the keys [from, to): at least one, all of the query's sequence. */
  private void look(int q, int from, int to) {
    Block query = queryBlocks.get(q);
    Block first = keyBlocks.get(from);
    long offset = offsets[query.sequence()];
    Block whole = new Block(query.sequence(), first.start(), keyBlocks.get(to - 1).end());
    Coverage coverage = mask.coverage(query, whole, offset);
    if (coverage == Coverage.EMPTY) {
      return;
    }
    if (coverage == Coverage.FULL) {
      see(from, to);
      full += to - from;
    } else if (to - from > 1) {
      int middle = (from + to) >>> 1;
      look(q, from, middle);
      look(q, middle, to);
    } else {
      lookAtPart(q, from, mask.visiblePairs(query, first, offset));
    }
  }

  /** PARTIAL may be empty or full after all. */
  private void lookAtPart(int q, int key, long pairs) {
    Block query = queryBlocks.get(q);
    if (pairs == 0) {
      return;
    }
    see(key, key + 1);
    if (pairs == tokens(query) * tokens(keyBlocks.get(key))) {
      full++;
    } else {
      partial[q]++;
      partialRows[key] += tokens(query);
      sample.add(query, keyBlocks.get(key));
    }
  }

  private void see(int from, int to) {
    if (rangeEnd > 0 && ranges[rangeEnd - 1] == from) {
      ranges[rangeEnd - 1] = to;
      return;
    }
    if (rangeEnd == ranges.length) {
      ranges = Arrays.copyOf(ranges, 2 * ranges.length);
    }
    ranges[rangeEnd++] = from;
    ranges[rangeEnd++] = to;
  }

  private static long tokens(Block block) {
    return block.end() - block.start();
  }

  /** Rows that the kernel computes for each that there is: strips are whole. */
  static double padding(Block query) {
    long rows = tokens(query);
    return (double) ((rows + STRIP - 1) / STRIP * STRIP) / rows;
  }

  /** Pairs of blocks of which the mask leaves everything, or a part. */
  public long blockPairs(Coverage coverage) {
    return switch (coverage) {
      case FULL -> full;
      case PARTIAL -> Arrays.stream(partial).asLongStream().sum();
      case EMPTY -> throw new IllegalArgumentException("Not counted: " + coverage);
    };
  }

  /**
   * The work of ranks that own queries.
   *
   * @param queryRanks [queryBlocks]: the rank of each
   */
  public RankWork[] queryRankWork(int[] queryRanks, int ranks) {
    RankWork[] work = new RankWork[ranks];
    Arrays.fill(work, RankWork.NONE);
    for (int q = 0; q < seen.length; q++) {
      work[queryRanks[q]] = work[queryRanks[q]].plus(queryWork(q));
    }
    return work;
  }

  private RankWork queryWork(int q) {
    Block query = queryBlocks.get(q);
    double rows = tokens(query);
    double keys = 0;
    double blocks = 0;
    for (int i = 0; i < seen[q].length; i += 2) {
      keys += keyBlocks.get(seen[q][i + 1] - 1).end() - keyBlocks.get(seen[q][i]).start();
      blocks += seen[q][i + 1] - seen[q][i];
    }
    return new RankWork(
        queryWork[q],
        queryWork[q] * padding(query) + partial[q] * rows * sample.extraScoresPerRow(),
        partial[q] * rows * sample.maskedScoresPerRow(),
        rows * blocks,
        rows,
        keys);
  }

  /**
   * What ranks that own queries read.
   *
   * @param queryRanks [queryBlocks]: the rank of each
   * @param keyRuns the key blocks in their order, cut into the units that are fetched
   */
  public RankVisits[] visits(int[] queryRanks, int ranks, List<List<Block>> keyRuns) {
    int[] runs = new int[keyBlocks.size()];
    double[] tokensBefore = new double[keyRuns.size() + 1];
    int block = 0;
    for (int run = 0; run < keyRuns.size(); run++) {
      tokensBefore[run + 1] = tokensBefore[run];
      for (Block key : keyRuns.get(run)) {
        runs[block++] = run;
        tokensBefore[run + 1] += tokens(key);
      }
    }
    List<List<int[]>> runRanges = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      runRanges.add(new ArrayList<>());
    }
    for (int q = 0; q < seen.length; q++) {
      for (int i = 0; i < seen[q].length; i += 2) {
        runRanges
            .get(queryRanks[q])
            .add(new int[] {runs[seen[q][i]], runs[seen[q][i + 1] - 1] + 1});
      }
    }
    return runRanges.stream()
        .map(ranges -> RankVisits.union(ranges, tokensBefore))
        .toArray(RankVisits[]::new);
  }

  /**
   * The work of ranks that own keys.
   *
   * @param keyShards [keyBlocks]: the rank of each
   * @param keyWork [keyBlocks]: visible pairs of each, as {@link BlockWork#keyWork} counts
   * @return the rows of each are those of all queries that see some of its keys
   */
  public RankWork[] keyRankWork(int[] keyShards, long[] keyWork, int ranks) {
    double[] rows = new double[keyBlocks.size() + 1];
    double[] paddedRows = new double[keyBlocks.size() + 1];
    double[] blocks = new double[keyBlocks.size() + 1];
    for (int q = 0; q < seen.length; q++) {
      double tokens = tokens(queryBlocks.get(q));
      for (int i = 0; i < seen[q].length; i++) {
        int sign = i % 2 == 0 ? 1 : -1;
        rows[seen[q][i]] += sign * tokens;
        paddedRows[seen[q][i]] += sign * tokens * padding(queryBlocks.get(q));
        blocks[seen[q][i]] += sign;
      }
    }
    Arrays.parallelPrefix(rows, Double::sum);
    Arrays.parallelPrefix(paddedRows, Double::sum);
    Arrays.parallelPrefix(blocks, Double::sum);
    double[] states = statesOfShards(keyShards, ranks);
    RankWork[] work = new RankWork[ranks];
    for (int rank = 0; rank < ranks; rank++) {
      work[rank] = new RankWork(0, 0, 0, 0, states[rank], 0);
    }
    for (int k = 0; k < keyBlocks.size(); k++) {
      double padding = rows[k] == 0 ? 1 : paddedRows[k] / rows[k];
      RankWork one =
          new RankWork(
              keyWork[k],
              keyWork[k] * padding + partialRows[k] * sample.extraScoresPerRow(),
              partialRows[k] * sample.maskedScoresPerRow(),
              rows[k],
              0,
              blocks[k] * tokens(keyBlocks.get(k)));
      work[keyShards[k]] = work[keyShards[k]].plus(one);
    }
    return work;
  }

  /** [ranks]: queries that see some key of each. */
  private double[] statesOfShards(int[] keyShards, int ranks) {
    int[] sameShardUntil = new int[keyShards.length];
    for (int k = keyShards.length - 1; k >= 0; k--) {
      boolean last = k + 1 == keyShards.length || keyShards[k + 1] != keyShards[k];
      sameShardUntil[k] = last ? k + 1 : sameShardUntil[k + 1];
    }
    double[] states = new double[ranks];
    int[] lastQuery = new int[ranks];
    Arrays.fill(lastQuery, -1);
    for (int q = 0; q < seen.length; q++) {
      int shardsLeft = ranks;
      for (int i = 0; i < seen[q].length && shardsLeft > 0; i += 2) {
        for (int k = seen[q][i]; k < seen[q][i + 1] && shardsLeft > 0; k = sameShardUntil[k]) {
          if (lastQuery[keyShards[k]] != q) {
            lastQuery[keyShards[k]] = q;
            states[keyShards[k]] += tokens(queryBlocks.get(q));
            shardsLeft--;
          }
        }
      }
    }
    return states;
  }
}

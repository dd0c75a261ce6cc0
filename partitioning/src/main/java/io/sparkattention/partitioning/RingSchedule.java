package io.sparkattention.partitioning;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * What a rank computes at which step of the ring (Ring Attention, Liu et al. 2023,
 * arXiv:2310.01889). Key blocks are grouped in runs, the unit that is fetched: consecutive blocks
 * of one shard. At step s rank r visits the runs of shard (r + s) mod ringSize. Runs in which none
 * of its query blocks sees a key are neither fetched nor computed.
 */
public final class RingSchedule {

  private final int[][] runs;
  private final int[][] steps;
  private final long[] visiblePairs;

  /** [queryBlocks]: index of the last visit of its rank in which it sees a key, or −1. */
  private final int[] lastVisits;

  /** Pairs of blocks of one sequence. */
  private final Map<Coverage, Long> blockPairs = new EnumMap<>(Coverage.class);

  /**
   * Lays out the ring.
   *
   * @param offsets offset of each sequence, as in {@link AttentionMask}
   * @param queryBlocks disjoint blocks in any order
   * @param queryRanks rank of each query block
   * @param keyRuns runs of disjoint key blocks in any order; see {@link #runs(List, int[], long)}
   * @param runShards shard of each run
   * @param ringSize number of ranks, and of shards
   * @throws IllegalArgumentException unless there is one rank per query block and one shard per
   *     run, all of them in [0, ringSize)
   */
  public RingSchedule(
      AttentionMask mask,
      long[] offsets,
      List<Block> queryBlocks,
      int[] queryRanks,
      List<List<Block>> keyRuns,
      int[] runShards,
      int ringSize) {
    checkOwners("ranks of query blocks", queryRanks, queryBlocks.size(), ringSize);
    checkOwners("shards of key runs", runShards, keyRuns.size(), ringSize);
    visiblePairs = new long[ringSize];
    BitSet[] visited = new BitSet[ringSize];
    Arrays.setAll(visited, rank -> new BitSet());
    VisibleBlocks keys = new VisibleBlocks(mask, offsets, keyRuns);
    long[] last = new long[queryRanks.length];
    Arrays.fill(last, -1);
    long sameSequence = 0;
    for (int i = 0; i < queryRanks.length; i++) {
      int index = i;
      int rank = queryRanks[i];
      Block query = queryBlocks.get(i);
      sameSequence +=
          keys.forEach(
              query,
              (run, key, pairs) -> {
                visited[rank].set(run);
                last[index] = Math.max(last[index], visit(run, rank, runShards, ringSize));
                visiblePairs[rank] = Math.addExact(visiblePairs[rank], pairs);
                boolean all = pairs == (long) query.tokens() * key.tokens();
                blockPairs.merge(all ? Coverage.FULL : Coverage.PARTIAL, 1L, Long::sum);
              });
    }
    blockPairs.put(
        Coverage.EMPTY, sameSequence - blockPairs(Coverage.FULL) - blockPairs(Coverage.PARTIAL));
    runs = new int[ringSize][];
    steps = new int[ringSize][];
    long[][] visits = new long[ringSize][];
    for (int rank = 0; rank < ringSize; rank++) {
      visits[rank] = ringOrder(visited[rank], rank, runShards, ringSize);
      runs[rank] = Arrays.stream(visits[rank]).mapToInt(visit -> (int) visit).toArray();
      steps[rank] =
          Arrays.stream(visits[rank]).mapToInt(visit -> (int) (visit >> Integer.SIZE)).toArray();
    }
    lastVisits = new int[last.length];
    for (int i = 0; i < last.length; i++) {
      lastVisits[i] = last[i] < 0 ? -1 : Arrays.binarySearch(visits[queryRanks[i]], last[i]);
    }
  }

  private static void checkOwners(String what, int[] owners, int expected, int ringSize) {
    if (owners.length != expected) {
      throw new IllegalArgumentException(
          "Invalid " + what + ": " + owners.length + " (expected " + expected + ")");
    }
    for (int owner : owners) {
      if (owner < 0 || owner >= ringSize) {
        throw new IllegalArgumentException(
            "Invalid " + what + ": " + owner + " (expected 0 <= owner < " + ringSize + ")");
      }
    }
  }

  /** The visited runs as (step, run), step in the upper half, in ascending order. */
  private static long[] ringOrder(BitSet visited, int rank, int[] runShards, int ringSize) {
    return visited.stream()
        .mapToLong(run -> visit(run, rank, runShards, ringSize))
        .sorted()
        .toArray();
  }

  private static long visit(int run, int rank, int[] runShards, int ringSize) {
    long step = Math.floorMod(runShards[run] - rank, ringSize);
    return step << Integer.SIZE | run;
  }

  /**
   * Cuts key blocks into runs: a new one starts where the shard changes or the run would exceed
   * {@code maxTokens}. A run has at least one block, however long; it may span sequences.
   *
   * @param keyBlocks blocks in global order
   * @param shards shard of each block
   * @param maxTokens upper bound of a run's tokens
   * @return the runs; joined they are {@code keyBlocks}
   */
  public static List<List<Block>> runs(List<Block> keyBlocks, int[] shards, long maxTokens) {
    return runs(keyBlocks, shards, new long[shards.length], maxTokens, maxTokens);
  }

  /**
   * Cuts key blocks into runs as {@link #runs(List, int[], long)} does, and also where the ranks
   * that visit them change, so that a rank fetches little that it does not see.
   *
   * @param visitors of each block: equal where the same ranks visit; see {@link KeyVisitors}
   * @param minTokens a run of fewer tokens is not cut for its visitors, since fetches cost too
   */
  public static List<List<Block>> runs(
      List<Block> keyBlocks, int[] shards, long[] visitors, long maxTokens, long minTokens) {
    List<List<Block>> runs = new ArrayList<>();
    int start = 0;
    long tokens = 0;
    for (int i = 0; i < keyBlocks.size(); i++) {
      int next = keyBlocks.get(i).tokens();
      if (i > start
          && (shards[i] != shards[start]
              || tokens + next > maxTokens
              || (tokens >= minTokens && visitors[i] != visitors[i - 1]))) {
        runs.add(List.copyOf(keyBlocks.subList(start, i)));
        start = i;
        tokens = 0;
      }
      tokens += next;
    }
    if (start < keyBlocks.size()) {
      runs.add(List.copyOf(keyBlocks.subList(start, keyBlocks.size())));
    }
    return runs;
  }

  /** The shard of each run, from the shard of each block in the order the runs were cut from. */
  public static int[] runShards(List<List<Block>> keyRuns, int[] shards) {
    int[] runShards = new int[keyRuns.size()];
    int block = 0;
    for (int run = 0; run < runShards.length; run++) {
      runShards[run] = shards[block];
      block += keyRuns.get(run).size();
    }
    return runShards;
  }

  /**
   * What a rank visits, in ring order: by step, and within a step ascending.
   *
   * @return indexes of key runs
   */
  public int[] runs(int rank) {
    return runs[rank].clone();
  }

  /**
   * After which visit of {@link #runs(int)} a query block has seen all its keys.
   *
   * @param queryBlock index of the block in the order of the constructor
   * @return an index into the visits of its rank; −1 if it sees no key
   */
  public int lastVisit(int queryBlock) {
    return lastVisits[queryBlock];
  }

  /** The step of each visit of {@link #runs(int)}. */
  public int[] steps(int rank) {
    return steps[rank].clone();
  }

  /**
   * The pairs of a query block and a key block of the same sequence by what is visible of them,
   * exactly: unlike {@link AttentionMask#coverage}, which may call a pair PARTIAL that is not.
   */
  public long blockPairs(Coverage coverage) {
    return blockPairs.getOrDefault(coverage, 0L);
  }

  /** The work of a rank, in visible (query, key) pairs. */
  public long visiblePairs(int rank) {
    return visiblePairs[rank];
  }

  /** The largest work of a rank over the mean of all ranks; 1.0 where there is no work at all. */
  public double skewMaxOverMean() {
    double max = Arrays.stream(visiblePairs).asDoubleStream().max().orElse(0);
    double mean = Arrays.stream(visiblePairs).asDoubleStream().average().orElse(0);
    return mean == 0 ? 1.0 : max / mean;
  }
}

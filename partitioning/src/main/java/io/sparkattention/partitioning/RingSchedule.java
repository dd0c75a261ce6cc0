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
 *
 * <p>A rank may take its query blocks in several turns, each of which goes around the ring: turn t
 * of rank r is visitor t · ringSize + r. With one turn, visitors are ranks.
 */
public final class RingSchedule {

  private final int[][] runs;
  private final int[][] steps;
  private final long[] visiblePairs;

  /** [queryBlocks]: index of the last visit of its visitor in which it sees a key, or −1. */
  private final int[] lastVisits;

  /** Pairs of blocks of one sequence. */
  private final Map<Coverage, Long> blockPairs = new EnumMap<>(Coverage.class);

  /**
   * Lays out the ring.
   *
   * @param offsets offset of each sequence, as in {@link AttentionMask}
   * @param queryBlocks disjoint blocks in any order
   * @param visitors of each query block its visitor; its rank where ranks take a single turn
   * @param keyRuns runs of disjoint key blocks in any order; see {@link #runs(List, int[], long)}
   * @param runShards shard of each run
   * @param ringSize number of ranks, and of shards
   * @throws IllegalArgumentException unless there is one visitor per query block, none negative,
   *     and one shard per run, in [0, ringSize)
   */
  public RingSchedule(
      AttentionMask mask,
      long[] offsets,
      List<Block> queryBlocks,
      int[] visitors,
      List<List<Block>> keyRuns,
      int[] runShards,
      int ringSize) {
    checkOwners("visitors of query blocks", visitors, queryBlocks.size(), Integer.MAX_VALUE);
    checkOwners("shards of key runs", runShards, keyRuns.size(), ringSize);
    visiblePairs = new long[ringSize];
    BitSet[] visited = new BitSet[visitorCount(visitors, ringSize)];
    Arrays.setAll(visited, visitor -> new BitSet());
    VisibleBlocks keys = new VisibleBlocks(mask, offsets, keyRuns);
    long[] last = new long[visitors.length];
    Arrays.fill(last, -1);
    long sameSequence = 0;
    for (int i = 0; i < visitors.length; i++) {
      int index = i;
      int visitor = visitors[i];
      int rank = visitor % ringSize;
      Block query = queryBlocks.get(i);
      sameSequence +=
          keys.forEach(
              query,
              (run, key, pairs) -> {
                visited[visitor].set(run);
                last[index] = Math.max(last[index], visit(run, rank, runShards, ringSize));
                visiblePairs[rank] = Math.addExact(visiblePairs[rank], pairs);
                boolean all = pairs == (long) query.tokens() * key.tokens();
                blockPairs.merge(all ? Coverage.FULL : Coverage.PARTIAL, 1L, Long::sum);
              });
    }
    blockPairs.put(
        Coverage.EMPTY, sameSequence - blockPairs(Coverage.FULL) - blockPairs(Coverage.PARTIAL));
    runs = new int[visited.length][];
    steps = new int[visited.length][];
    long[][] visits = new long[visited.length][];
    for (int visitor = 0; visitor < visited.length; visitor++) {
      visits[visitor] = ringOrder(visited[visitor], visitor % ringSize, runShards, ringSize);
      runs[visitor] = Arrays.stream(visits[visitor]).mapToInt(visit -> (int) visit).toArray();
      steps[visitor] =
          Arrays.stream(visits[visitor]).mapToInt(visit -> (int) (visit >> Integer.SIZE)).toArray();
    }
    lastVisits = new int[last.length];
    for (int i = 0; i < last.length; i++) {
      lastVisits[i] = last[i] < 0 ? -1 : Arrays.binarySearch(visits[visitors[i]], last[i]);
    }
  }

  /** All visitors of the turns that there are, those without a query block included. */
  private static int visitorCount(int[] visitors, int ringSize) {
    int last = Arrays.stream(visitors).max().orElse(0);
    return Math.multiplyExact(last / ringSize + 1, ringSize);
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
   * What a rank visits in a turn, in ring order: by step, and within a step ascending.
   *
   * @return indexes of key runs
   */
  public int[] runs(int visitor) {
    return runs[visitor].clone();
  }

  /** The number of visitors, ringSize times the turns of the rank that takes the most. */
  public int visitors() {
    return runs.length;
  }

  /**
   * After which visit of {@link #runs(int)} a query block has seen all its keys.
   *
   * @param queryBlock index of the block in the order of the constructor
   * @return an index into the visits of its visitor; −1 if it sees no key
   */
  public int lastVisit(int queryBlock) {
    return lastVisits[queryBlock];
  }

  /** The step of each visit of {@link #runs(int)}. */
  public int[] steps(int visitor) {
    return steps[visitor].clone();
  }

  /**
   * The pairs of a query block and a key block of the same sequence by what is visible of them,
   * exactly: unlike {@link AttentionMask#coverage}, which may call a pair PARTIAL that is not.
   */
  public long blockPairs(Coverage coverage) {
    return blockPairs.getOrDefault(coverage, 0L);
  }

  /** The work of a rank in all its turns, in visible (query, key) pairs. */
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

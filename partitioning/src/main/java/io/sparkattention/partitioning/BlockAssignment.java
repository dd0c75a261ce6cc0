package io.sparkattention.partitioning;

import java.util.Arrays;
import java.util.Comparator;
import java.util.Locale;
import java.util.PriorityQueue;
import java.util.stream.IntStream;

/**
 * Which rank owns a block: an index permutation and nothing else, so that no result depends on it.
 */
public enum BlockAssignment {
  /**
   * Equal counts of consecutive blocks, as in Ring Attention (Liu et al. 2023, arXiv:2310.01889).
   */
  CONTIGUOUS,
  /**
   * 2·ringSize runs of equal counts, of which rank r owns runs r and 2·ringSize − 1 − r: under a
   * causal mask a light one and a heavy one (ring-flash-attention; context parallelism of Llama 3).
   * Its balance is as fine as a block: best where 2·ringSize divides the blocks of one sequence.
   */
  ZIGZAG,
  /**
   * Block i on rank i mod ringSize: Striped Attention (Brandon et al. 2023, arXiv:2311.09431) with
   * blocks for tokens.
   */
  STRIPED,
  /**
   * Each block, heaviest first, goes to the rank with the least work so far: at most 4/3 − 1/(3 ·
   * ringSize) of the best possible maximum (Graham 1969, longest processing time first).
   */
  BALANCED;

  /**
   * Assigns blocks to ranks. The result depends on the arguments alone. Ranks may be more than
   * blocks; some then own nothing.
   *
   * @param work unmasked area of each block, in (query, key) pairs; blocks in (sequence, position)
   *     order
   * @param ringSize number of ranks, at least 1
   * @return the rank of each block, in [0, ringSize)
   * @throws IllegalArgumentException if ringSize is not positive
   */
  public int[] ranks(long[] work, int ringSize) {
    if (ringSize < 1) {
      throw new IllegalArgumentException(
          "Invalid ring size: " + ringSize + " ranks (expected >= 1)");
    }
    int blocks = work.length;
    return switch (this) {
      case CONTIGUOUS -> contiguous(blocks, ringSize);
      case ZIGZAG -> zigzag(blocks, ringSize);
      case STRIPED -> IntStream.range(0, blocks).map(i -> i % ringSize).toArray();
      case BALANCED -> balanced(work, ringSize);
    };
  }

  private static int[] contiguous(int blocks, int ringSize) {
    int[] ranks = new int[blocks];
    int start = 0;
    for (int rank = 0; rank < ringSize; rank++) {
      int end = start + share(rank, blocks, ringSize);
      Arrays.fill(ranks, start, end, rank);
      start = end;
    }
    return ranks;
  }

  /** From both ends inwards; of an odd share the first run is the longer, as the lighter one. */
  private static int[] zigzag(int blocks, int ringSize) {
    int[] ranks = new int[blocks];
    int start = 0;
    int end = blocks;
    for (int rank = 0; rank < ringSize; rank++) {
      int share = share(rank, blocks, ringSize);
      int second = share / 2;
      int first = share - second;
      Arrays.fill(ranks, start, start + first, rank);
      Arrays.fill(ranks, end - second, end, rank);
      start += first;
      end -= second;
    }
    return ranks;
  }

  /** The number of blocks a rank owns where counts are equal; the first ranks own the remainder. */
  private static int share(int rank, int blocks, int ringSize) {
    return blocks / ringSize + (rank < blocks % ringSize ? 1 : 0);
  }

  private static int[] balanced(long[] work, int ringSize) {
    int[] ranks = new int[work.length];
    long[] load = new long[ringSize];
    int[] owned = new int[ringSize];
    PriorityQueue<Integer> leastLoad = queue(ringSize, Comparator.comparingLong(r -> load[r]));
    int[] heaviestFirst =
        IntStream.range(0, work.length)
            .filter(i -> work[i] > 0)
            .boxed()
            .sorted(Comparator.comparingLong((Integer i) -> work[i]).reversed())
            .mapToInt(Integer::intValue)
            .toArray();
    for (int i : heaviestFirst) {
      int rank = leastLoad.remove();
      ranks[i] = rank;
      load[rank] = Math.addExact(load[rank], work[i]);
      owned[rank]++;
      leastLoad.add(rank);
    }
    // Blocks without work would all go to one rank by load; they still take memory.
    PriorityQueue<Integer> fewestBlocks = queue(ringSize, Comparator.comparingInt(r -> owned[r]));
    for (int i = 0; i < work.length; i++) {
      if (work[i] == 0) {
        int rank = fewestBlocks.remove();
        ranks[i] = rank;
        owned[rank]++;
        fewestBlocks.add(rank);
      }
    }
    return ranks;
  }

  /** All ranks, the least in the given order first; equal ones by number. */
  private static PriorityQueue<Integer> queue(int ringSize, Comparator<Integer> order) {
    PriorityQueue<Integer> queue =
        new PriorityQueue<>(order.thenComparing(Comparator.naturalOrder()));
    IntStream.range(0, ringSize).forEach(queue::add);
    return queue;
  }

  /**
   * Reads {@code contiguous}, {@code zigzag}, {@code striped} or {@code balanced}.
   *
   * @throws IllegalArgumentException for any other text
   */
  public static BlockAssignment parse(String text) {
    return Arrays.stream(values())
        .filter(assignment -> assignment.toString().equals(text))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "Invalid assignment: '"
                        + text
                        + "' (expected contiguous, zigzag, striped or balanced)"));
  }

  /** The form that {@link #parse} accepts. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}

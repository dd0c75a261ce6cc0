package io.sparkattention.partitioning;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
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
   * Where 2·ringSize does not divide the number of blocks, those left over stand singly: of an odd
   * share the middle ones, of a remainder the first, which are the lightest; each goes to the rank
   * with the least work. A last block cut short upsets the pairs: the runs are up to two blocks
   * shorter where that brings the largest work to within 1.05 of the mean.
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

  private static final double ZIGZAG_SKEW = 1.05;

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
      case ZIGZAG -> zigzag(work, ringSize);
      case STRIPED -> IntStream.range(0, blocks).map(i -> i % ringSize).toArray();
      case BALANCED -> {
        Loads loads = new Loads(work, ringSize);
        loads.level(IntStream.range(0, blocks));
        yield loads.ranks;
      }
    };
  }

  /**
   * The largest work of a rank over the mean of all ranks; 1.0 where there is no work at all.
   *
   * @param work unmasked area of each block, as in {@link #ranks}
   */
  public double skew(long[] work, int ringSize) {
    Loads loads = new Loads(work, ringSize);
    int[] ranks = ranks(work, ringSize);
    IntStream.range(0, work.length).forEach(block -> loads.give(block, ranks[block]));
    return loads.skew();
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

  private static int[] zigzag(long[] work, int ringSize) {
    int longest = work.length / (2 * ringSize);
    Loads best = null;
    for (int run = longest; run >= Math.max(0, longest - 2); run--) {
      Loads loads = zigzag(work, ringSize, run);
      if (best == null || loads.most() < best.most()) {
        best = loads;
      }
      if (best.skew() <= ZIGZAG_SKEW) {
        break;
      }
    }
    return best.ranks;
  }

  /** Two runs of {@code run} blocks for each rank, and the others to who has the least work. */
  private static Loads zigzag(long[] work, int ringSize, int run) {
    Loads loads = new Loads(work, ringSize);
    int single = work.length - 2 * run * ringSize;
    int middle = single / ringSize * ringSize;
    int start = single - middle;
    int end = work.length;
    for (int rank = 0; rank < ringSize; rank++) {
      for (int i = 0; i < run; i++) {
        loads.give(start++, rank);
        loads.give(--end, rank);
      }
    }
    loads.level(IntStream.concat(IntStream.range(0, single - middle), IntStream.range(start, end)));
    return loads;
  }

  /** The number of blocks a rank owns where counts are equal; the first ranks own the remainder. */
  private static int share(int rank, int blocks, int ringSize) {
    return blocks / ringSize + (rank < blocks % ringSize ? 1 : 0);
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

  /** Ranks with the blocks that they were given so far. */
  private static final class Loads {
    private final long[] work;

    /** [blocks]. */
    private final int[] ranks;

    /** [ringSize]: sums of work, and numbers of blocks. */
    private final long[] load;

    private final int[] owned;

    Loads(long[] work, int ringSize) {
      this.work = work;
      this.ranks = new int[work.length];
      this.load = new long[ringSize];
      this.owned = new int[ringSize];
    }

    void give(int block, int rank) {
      ranks[block] = rank;
      load[rank] = Math.addExact(load[rank], work[block]);
      owned[rank]++;
    }

    /** Gives each block, heaviest first, to the rank with the least work so far. */
    void level(IntStream blocks) {
      List<Integer> heaviestFirst =
          blocks
              .boxed()
              .sorted(Comparator.comparingLong((Integer i) -> work[i]).reversed())
              .toList();
      Comparator<Integer> fewest = Comparator.comparingInt(rank -> owned[rank]);
      Comparator<Integer> least = Comparator.comparingLong(rank -> load[rank]);
      PriorityQueue<Integer> working = queue(least.thenComparing(fewest));
      // Blocks without work would all go to one rank by load; they still take memory.
      PriorityQueue<Integer> idle = null;
      for (int block : heaviestFirst) {
        if (work[block] == 0 && idle == null) {
          idle = queue(fewest);
        }
        PriorityQueue<Integer> order = idle == null ? working : idle;
        int rank = order.remove();
        give(block, rank);
        order.add(rank);
      }
    }

    /** All ranks, the least in the given order first; equal ones by number. */
    private PriorityQueue<Integer> queue(Comparator<Integer> order) {
      PriorityQueue<Integer> queue =
          new PriorityQueue<>(order.thenComparing(Comparator.naturalOrder()));
      IntStream.range(0, load.length).forEach(queue::add);
      return queue;
    }

    long most() {
      return Arrays.stream(load).max().orElseThrow();
    }

    double skew() {
      double sum = Arrays.stream(load).asDoubleStream().sum();
      return sum == 0 ? 1 : most() * load.length / sum;
    }
  }
}

package io.sparkattention.partitioning;

import io.sparkattention.partitioning.ClusterFacts.Fact;
import io.sparkattention.partitioning.RingSimulation.Disturbances;
import io.sparkattention.partitioning.RingSimulation.Loss;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Self-attention of one sequence on more executors than are at hand: simulated, not measured. Each
 * executor has one rank, on all its cores, and its own link of {@link Fact#NETWORK} bytes a second
 * either way. What a rank computes and what else takes time are those of {@link CostModel}; how a
 * ring's fetches and folds go together, and what stragglers and lost executors do to it, is played
 * through by events ({@link RingSimulation}). The other exchanges are phases: something is sent,
 * the ranks compute, the results meet.
 *
 * <p>What a ring hides. On T tokens per executor a step folds T² pairs and fetches T tokens. With
 * compute rate F (FLOP/s of an executor), link rate B (bytes/s), H query heads, G key/value heads,
 * keyDim + valueDim = D and e bytes an element, the fold takes 2·H·D·T²/F and the fetch G·D·e·T/B,
 * so that the fetch is hidden from T = (F / B) · e·G / (2·H) tokens per executor on: the machine
 * balance, twice that under a causal mask (Liu et al. 2023, arXiv:2310.01889, section 3). A ring
 * takes fold + (P − 1) · max(fold, fetch); however many executors, all keys and values pass each
 * link, so that its speed-up over one executor ends at (tokens / balance).
 *
 * <p>Against an all-to-all ({@code heads}; Jacobs et al. 2023, arXiv:2309.14509), which hides
 * nothing and moves queries, keys, values and outputs once, T·(2·H + 2·G)·d·e/P bytes a rank and
 * partner where keyDim = valueDim = d: below T = (F·e / 2·B) · (G/H − (1 + G/H) / P) tokens per
 * executor the ring waits longer than that, above the all-to-all takes longer.
 */
public final class Simulation {

  /** How queries meet keys and values. */
  public enum Exchange {
    RING,
    BARRIER,
    HEADS,
    REDUCE,
    BROADCAST
  }

  /**
   * What goes wrong in each run, the same in all exchanges.
   *
   * @param stragglerShare of the executors, 0 to 1, that compute slower
   * @param stragglerFactor by what factor, at least 1
   * @param lost executors that are lost at random times of the undisturbed run, and replaced
   * @param detectSeconds until Spark knows that one is lost and another is there
   * @param seed of which executors, and when
   */
  public record Trouble(
      double stragglerShare, double stragglerFactor, int lost, double detectSeconds, long seed) {
    /** Nothing. */
    public static final Trouble NONE = new Trouble(0, 1, 0, 0, 0);

    /**
     * @throws IllegalArgumentException if a value is out of its range
     */
    public Trouble {
      check(stragglerShare >= 0 && stragglerShare <= 1, "share of stragglers", stragglerShare);
      check(stragglerFactor >= 1 && stragglerFactor <= 1e6, "factor of stragglers", stragglerFactor);
      check(lost >= 0, "number of lost executors", lost);
      check(detectSeconds >= 0 && detectSeconds <= 1e6, "detection time", detectSeconds);
    }

    private static void check(boolean right, String what, double found) {
      if (!right) {
        throw new IllegalArgumentException("Invalid " + what + ": " + found);
      }
    }
  }

  /** One fetch of the driver's ring. */
  private static final double FETCH_BYTES = 16 << 20;

  private final AttentionMask mask;
  private final HeadSizes heads;
  private final BlockAssignment assignment;
  private final int executors;
  private final Trouble trouble;
  private final ClusterFacts facts;
  private final CostModel model;
  private final long tokens;
  private final List<Block> keyBlocks;
  private final List<Block> queryBlocks;
  private final WorkProfile profile;
  private final int[] queryRanks;
  private final RankWork[] work;

  /** [executors]: 1 where a rank is not slowed. */
  private final double[] slowness;

  /**
   * Lays out a run.
   *
   * @param facts of the cluster; the number of executors and the CPUs of a task in it do not matter
   * @param blocks of the sequence
   * @param executors at least 1, and as many ranks
   */
  public Simulation(
      ClusterFacts facts,
      HeadSizes heads,
      AttentionMask mask,
      Blocks blocks,
      int executors,
      Trouble trouble) {
    this.mask = mask;
    this.heads = heads;
    this.assignment = blocks.assignment();
    this.executors = executors;
    this.trouble = trouble;
    this.facts =
        facts.with(Fact.EXECUTORS, executors).with(Fact.TASK_CPUS, facts.get(Fact.CORES));
    this.tokens = blocks.tokens();
    this.model =
        new CostModel(
            this.facts, heads, tokens, tokens, FETCH_BYTES / heads.keyValueBytesPerToken());
    long[] offset = {0};
    this.keyBlocks = new BlockGrid(blocks.blockTokens()).blocks(0, 0, tokens);
    this.queryBlocks =
        assignment == BlockAssignment.BALANCED
            ? BlockWork.cutHeavy(mask, offset, keyBlocks, keyBlocks, executors)
            : keyBlocks;
    long[] queryWork = BlockWork.queryWork(mask, offset, queryBlocks, keyBlocks);
    this.profile = new WorkProfile(mask, offset, queryBlocks, keyBlocks, queryWork);
    this.queryRanks = assignment.ranks(queryWork, executors);
    this.work = profile.queryRankWork(queryRanks, executors);
    this.slowness = slowness();
  }

  /** The sequence, its grid, and the assignment of blocks to ranks. */
  public record Blocks(long tokens, int blockTokens, BlockAssignment assignment) {}

  private double[] slowness() {
    double[] slow = Disturbances.none(executors).slowness();
    Random random = new Random(trouble.seed());
    long stragglers = Math.round(trouble.stragglerShare() * executors);
    random
        .ints(0, executors)
        .distinct()
        .limit(stragglers)
        .forEach(rank -> slow[rank] = trouble.stragglerFactor());
    return slow;
  }

  /** Executors that are lost, at random times before {@code seconds}; in the order of time. */
  private List<Loss> losses(double seconds) {
    Random random = new Random(trouble.seed() + 1);
    List<Loss> losses = new ArrayList<>();
    random
        .ints(0, executors)
        .distinct()
        .limit(Math.min(trouble.lost(), executors))
        .forEach(
            rank -> {
              double at = random.nextDouble() * seconds;
              losses.add(new Loss(rank, at, at + trouble.detectSeconds() + recomputeSeconds()));
            });
    losses.sort(Comparator.comparingDouble(Loss::seconds));
    return losses;
  }

  /** Reading and packing what an executor stores: a stage of its own, at the rate of storage. */
  public double recomputeSeconds() {
    double bytes = heads.keyValueBytesPerToken() + heads.queryBytesPerToken();
    return tokens * bytes / executors / facts.si(Fact.STORAGE)
        + facts.si(Fact.STAGE)
        + facts.si(Fact.TASK);
  }

  /** Tokens per executor from which a ring under a full mask hides its fetches, latency aside. */
  public double balanceTokens() {
    double blockTokens = keyBlocks.get(0).tokens();
    double pairs = blockTokens * blockTokens;
    double fold = model.foldSeconds(new RankWork(pairs, pairs, 0, blockTokens, 0, 0));
    double fetch = blockTokens * heads.keyValueBytesPerToken() / link().bytesPerSecond();
    return blockTokens * fetch / (fold * blockTokens / blockTokens);
  }
}

package io.sparkattention.partitioning;

import io.sparkattention.partitioning.ClusterFacts.Fact;
import io.sparkattention.partitioning.RingSimulation.Disturbances;
import io.sparkattention.partitioning.RingSimulation.Loss;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Random;

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
 * balance, twice that where a step shows half of its pairs (Liu et al. 2023, arXiv:2310.01889). A
 * ring takes fold + (P − 1) · max(fold, fetch); however many executors, all keys and values pass
 * each link, so that its speed-up over one executor ends at (tokens / balance).
 *
 * <p>Against an all-to-all ({@code heads}; Jacobs et al. 2023, arXiv:2309.14509), which hides
 * nothing and moves a token's query, key, value and row, a bytes, once, of which the share 1/P
 * stays: a ring, whose key and value have b bytes, waits longer below T = (b − a / P) / (2·H·D) ·
 * (F / B) tokens per executor, the all-to-all above. With e bytes an element and keyDim = valueDim
 * that is (F·e / 2·B) · (G/H − (1 + G/H) / P).
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
      check(
          stragglerFactor >= 1 && stragglerFactor <= 1e6, "factor of stragglers", stragglerFactor);
      check(lost >= 0, "number of lost executors", lost);
      check(detectSeconds >= 0 && detectSeconds <= 1e6, "detection time", detectSeconds);
    }

    private static void check(boolean right, String what, double found) {
      if (!right) {
        throw new IllegalArgumentException("Invalid " + what + ": " + found);
      }
    }
  }

  /**
   * One sequence, and how it is cut.
   *
   * @param tokens queries, and as many keys
   * @param assignment of query blocks to ranks
   */
  public record Blocks(long tokens, int blockTokens, BlockAssignment assignment) {}

  /** One fetch of the driver's ring. */
  private static final double FETCH_BYTES = 16 << 20;

  private final AttentionMask mask;
  private final HeadSizes heads;
  private final Blocks blocks;
  private final int executors;
  private final Trouble trouble;
  private final ClusterFacts facts;
  private final CostModel model;
  private final List<Block> keyBlocks;
  private final List<Block> queryBlocks;
  private final List<List<Block>> keyRuns;
  private final int[] runShards;
  private final WorkProfile profile;
  private final int[] queryRanks;
  private final RankWork[] work;

  /** [executors]: 1 where a rank is not slowed. */
  private final double[] slowness;

  /** Of a ring in which no executor is lost; null until it is asked for. */
  private SimulatedRun undisturbedRing;

  /**
   * Lays out a run.
   *
   * @param facts of an executor and its link; how many there are and the CPUs of a task do not
   *     count
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
    this.blocks = blocks;
    this.executors = executors;
    this.trouble = trouble;
    this.facts = facts.with(Fact.EXECUTORS, executors).with(Fact.TASK_CPUS, facts.get(Fact.CORES));
    this.model = new CostModel(this.facts, heads, blocks.tokens(), blocks.tokens(), fetchTokens());
    long[] offset = {0};
    this.keyBlocks = new BlockGrid(blocks.blockTokens()).blocks(0, 0, blocks.tokens());
    this.queryBlocks =
        blocks.assignment() == BlockAssignment.BALANCED
            ? BlockWork.cutHeavy(mask, offset, keyBlocks, keyBlocks, executors)
            : keyBlocks;
    int[] keyShards = BlockAssignment.CONTIGUOUS.ranks(new long[keyBlocks.size()], executors);
    this.keyRuns = RingSchedule.runs(keyBlocks, keyShards, (long) fetchTokens());
    this.runShards = RingSchedule.runShards(keyRuns, keyShards);
    long[] queryWork = BlockWork.queryWork(mask, offset, queryBlocks, keyBlocks);
    this.profile = new WorkProfile(mask, offset, queryBlocks, keyBlocks, queryWork);
    this.queryRanks = blocks.assignment().ranks(queryWork, executors);
    this.work = profile.queryRankWork(queryRanks, executors);
    this.slowness = slowness();
  }

  private double fetchTokens() {
    return Math.max(1, Math.floor(FETCH_BYTES / heads.keyValueBytesPerToken()));
  }

  private double[] slowness() {
    double[] slow = Disturbances.none(executors).slowness();
    long stragglers = Math.round(trouble.stragglerShare() * executors);
    new Random(trouble.seed())
        .ints(0, executors)
        .distinct()
        .limit(stragglers)
        .forEach(rank -> slow[rank] = trouble.stragglerFactor());
    return slow;
  }

  /** Executors that are lost, at random times before {@code seconds}; by time. */
  private List<Loss> losses(double seconds) {
    Random random = new Random(trouble.seed() + 1);
    List<Loss> losses = new ArrayList<>();
    double back = trouble.detectSeconds() + recomputeSeconds();
    int[] ranks =
        random.ints(0, executors).distinct().limit(Math.min(trouble.lost(), executors)).toArray();
    for (int rank : ranks) {
      double at = random.nextDouble() * seconds;
      losses.add(new Loss(rank, at, at + back));
    }
    losses.sort(Comparator.comparingDouble(Loss::seconds));
    return losses;
  }

  /** Reading and packing again what an executor stored: a stage, at the rate of storage. */
  public double recomputeSeconds() {
    double bytes = heads.keyValueBytesPerToken() + heads.queryBytesPerToken();
    double tokens = (double) blocks.tokens() / executors;
    return tokens * bytes / facts.si(Fact.STORAGE) + facts.si(Fact.STAGE) + facts.si(Fact.TASK);
  }

  /** Tokens per executor from which a ring under a full mask hides its fetches, latency aside. */
  public double balanceTokens() {
    double size = blocks.blockTokens();
    double fold = model.foldSeconds(new RankWork(size * size, size * size, 0, size, 0, 0));
    double fetch = size * heads.keyValueBytesPerToken() / link().bytesPerSecond();
    return size * fetch / fold;
  }

  /** What a rank would compute if all were even and nothing went wrong. */
  public double idealSeconds() {
    return Arrays.stream(work).mapToDouble(model::foldSeconds).average().orElseThrow();
  }

  /** What spills lies on disk and is read from there. */
  private LinkModel link() {
    double byteSeconds = 1 / facts.si(Fact.NETWORK) + model.spilledShare() / facts.si(Fact.STORAGE);
    double fetchBytes = fetchTokens() * heads.keyValueBytesPerToken();
    return new LinkModel(1 / byteSeconds, facts.si(Fact.LATENCY), fetchBytes);
  }

  /**
   * Simulates an exchange; empty where a task does not fit the memory of {@link CostModel}.
   *
   * @return simulated, not measured
   */
  public Optional<SimulatedRun> run(Exchange exchange) {
    Cost cost = cost(exchange);
    if (cost.taskBytes() > model.taskMemoryLimit()) {
      return Optional.empty();
    }
    return Optional.of(
        switch (exchange) {
          case RING -> ring();
          case BARRIER -> barrier(cost.attentionSeconds() - cost(Exchange.RING).attentionSeconds());
          case HEADS -> {
            // Half of what moves is on the way to the heads, half on the way back.
            double half = (cost.exposedSeconds() + cost.overheadSeconds()) / 2;
            yield phases(cost, half, computeOfHeads(), half);
          }
          case REDUCE, BROADCAST -> {
            RankWork[] ranks = exchange == Exchange.REDUCE ? keyWork() : work;
            double[] compute = Arrays.stream(ranks).mapToDouble(model::foldSeconds).toArray();
            double after = cost.exposedSeconds() + cost.overheadSeconds();
            yield phases(cost, cost.prepareSeconds(), compute, after);
          }
        });
  }

  private Cost cost(Exchange exchange) {
    return switch (exchange) {
      case RING -> model.ring(work, visits());
      case BARRIER -> model.barrier(work, visits());
      case HEADS -> model.heads(all(), headGroups());
      case REDUCE -> model.reduce(keyWork());
      case BROADCAST -> model.broadcast(work);
    };
  }

  private RankVisits[] visits() {
    return profile.visits(queryRanks, executors, keyRuns);
  }

  private RankWork[] keyWork() {
    long[] keyWork = BlockWork.keyWork(mask, new long[1], queryBlocks, keyBlocks);
    int[] shards = blocks.assignment().ranks(keyWork, executors);
    return profile.keyRankWork(shards, keyWork, executors);
  }

  private RankWork all() {
    return Arrays.stream(work).reduce(RankWork.NONE, RankWork::plus);
  }

  private int headGroups() {
    return Math.min(executors, heads.numKeyValueHeads());
  }

  private double[] computeOfHeads() {
    CostModel group =
        new CostModel(
            facts, heads.group(headGroups()), blocks.tokens(), blocks.tokens(), fetchTokens());
    double[] compute = new double[headGroups()];
    Arrays.fill(compute, group.foldSeconds(all()));
    return compute;
  }

  private SimulatedRun ring() {
    SimulatedRun run = undisturbedRing();
    if (trouble.lost() > 0) {
      run =
          RingSimulation.run(ringWork(), link(), new Disturbances(slowness, losses(run.seconds())));
    }
    return run.later(facts.si(Fact.TASK));
  }

  private SimulatedRun undisturbedRing() {
    if (undisturbedRing == null) {
      undisturbedRing =
          RingSimulation.run(ringWork(), link(), new Disturbances(slowness, List.of()));
    }
    return undisturbedRing;
  }

  private RingSimulation.Work ringWork() {
    Block whole = new Block(0, 0, blocks.tokens());
    long shardTokens = blocks.tokens() / executors;
    boolean even = blocks.tokens() % executors == 0 && shardTokens % blocks.blockTokens() == 0;
    if (even && mask.coverage(whole, whole, 0) == Coverage.FULL) {
      return new UniformRing(
          executors,
          model.foldSeconds(work[0]) / executors,
          shardTokens * heads.keyValueBytesPerToken());
    }
    double[] pairSeconds =
        Arrays.stream(work)
            .mapToDouble(
                rank ->
                    rank.visiblePairs() == 0 ? 0 : model.foldSeconds(rank) / rank.visiblePairs())
            .toArray();
    return new MaskedRing(
        mask,
        queryBlocks,
        queryRanks,
        keyRuns,
        runShards,
        heads.keyValueBytesPerToken(),
        pairSeconds);
  }

  /** A ring of tasks that run at once: when an executor is lost, all of them begin anew. */
  private SimulatedRun barrier(double extraSeconds) {
    SimulatedRun run = undisturbedRing().later(facts.si(Fact.TASK) + extraSeconds);
    double begin = 0;
    for (Loss loss : losses(run.seconds())) {
      if (loss.seconds() < begin + run.seconds()) {
        begin = Math.max(begin, loss.backSeconds());
      }
    }
    return run.later(begin);
  }

  /**
   * What is sent, computed and met, each when all ranks are done with what is before. A lost
   * executor repeats its part of what is sent and computed.
   *
   * @param compute [ranks that compute]
   */
  private SimulatedRun phases(Cost cost, double before, double[] compute, double after) {
    double[] done = new double[compute.length];
    for (int rank = 0; rank < done.length; rank++) {
      done[rank] = before + compute[rank] * slowness[rank];
    }
    double end = Arrays.stream(done).max().orElseThrow() + after;
    for (Loss loss : losses(end)) {
      // One that has no heads in heads would cost nothing: one that has some is lost instead.
      int rank = loss.rank() % done.length;
      done[rank] = loss.backSeconds() + before + compute[rank] * slowness[rank];
    }
    end = Arrays.stream(done).max().orElseThrow() + after;
    return new SimulatedRun(
        end,
        Arrays.stream(compute).sum() / executors,
        before + after,
        cost.bytesMoved() / executors);
  }
}

package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.ClusterFacts;
import io.sparkattention.partitioning.Cost;
import io.sparkattention.partitioning.CostModel;
import io.sparkattention.partitioning.RankVisits;
import io.sparkattention.partitioning.RankWork;
import io.sparkattention.partitioning.RingSchedule;
import io.sparkattention.partitioning.WorkProfile;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/**
 * Chooses the exchange, the assignment and the number of shards of a workload on a cluster: the
 * fastest by {@link CostModel} of those that fit. What the configuration fixes stays. The block
 * size is never chosen, so that no choice touches the bits of the result.
 */
final class Planner {
  /** Shards as multiples of the slots: more level the work and need less memory each. */
  private static final int[] SHARDS_PER_SLOT = {1, 2, 4};

  /** The model cannot tell times apart that are as close; the earlier candidate is then taken. */
  static final double TIE = 1.02;

  private static final List<ExchangeKind> EXCHANGES =
      List.of(
          ExchangeKind.RING,
          ExchangeKind.REDUCE,
          ExchangeKind.HEADS,
          ExchangeKind.BROADCAST,
          ExchangeKind.BARRIER);

  private final Workload workload;
  private final AttentionConfig config;
  private final ClusterFacts facts;
  private final long taskBytes;
  private final WorkProfile profile;
  private final long[] keyWork;
  private final CostModel model;
  private final List<Candidate> candidates = new ArrayList<>();

  /**
   * @param taskBytes what a task may hold
   */
  Planner(Workload workload, AttentionConfig config, ClusterFacts facts, long taskBytes) {
    this.taskBytes = taskBytes;
    this.workload = workload;
    this.config = config;
    this.facts = facts;
    this.profile = workload.profile();
    this.keyWork = workload.keyWork();
    this.model =
        new CostModel(
                facts,
                workload.headSizes(),
                workload.queryTokens(),
                workload.keyTokens(),
                Placement.maxRunTokens(workload))
            .limitedTo(
                taskBytes, workload.queryBlocks().stream().mapToInt(Block::tokens).max().orElse(0));
  }

  /**
   * Costs all candidates and takes one.
   *
   * @throws InvalidInputException if none fits the memory of a task and the exchange is to be
   *     chosen
   */
  PlanChoice choose() {
    for (int shards : shardCounts()) {
      for (BlockAssignment assignment : assignments()) {
        addOwnersOfQueries(assignment, shards);
        addReduce(assignment, shards);
      }
      addHeads(shards);
    }
    return place();
  }

  /** The fastest; the next one where the placement needs more than its estimate said. */
  private PlanChoice place() {
    boolean asked = config.exchange() != ExchangeKind.AUTO;
    Candidate chosen = fastest();
    Placement placement = place(chosen);
    if (!asked && placement.taskBytes() > taskBytes) {
      candidates.replaceAll(
          candidate ->
              candidate == chosen ? chosen.refused(tooLarge(placement.taskBytes())) : candidate);
      return place();
    }
    return new PlanChoice(chosen, placement, asked, candidates, facts.slots());
  }

  private Candidate fastest() {
    ExchangeKind asked = config.exchange();
    Predicate<Candidate> wanted =
        asked == ExchangeKind.AUTO
            ? candidate -> candidate.refusal().isEmpty()
            : candidate -> candidate.exchange() == asked;
    List<Candidate> allowed = candidates.stream().filter(wanted).toList();
    if (allowed.isEmpty()) {
      throw tooLittleMemory();
    }
    double best =
        allowed.stream().mapToDouble(candidate -> candidate.cost().seconds()).min().orElseThrow();
    List<Candidate> tied =
        allowed.stream().filter(candidate -> candidate.cost().seconds() <= TIE * best).toList();
    ExchangeKind exchange =
        EXCHANGES.stream()
            .filter(kind -> tied.stream().anyMatch(candidate -> candidate.exchange() == kind))
            .findFirst()
            .orElseThrow();
    List<Candidate> same =
        tied.stream().filter(candidate -> candidate.exchange() == exchange).toList();
    // The model does not know who lies beside whom; as fast as others, what moves least is better.
    return exchange == ExchangeKind.RING && facts.executors() > 1
        ? Collections.min(same, Comparator.comparingLong(this::bytesMoved))
        : same.get(0);
  }

  private long bytesMoved(Candidate candidate) {
    long cacheBytes = ExecutorMemory.of(facts).cacheBytes();
    return new Movement(workload, place(candidate), facts.executors(), cacheBytes).bytes();
  }

  private Placement place(Candidate candidate) {
    return new Placement(
        workload, candidate.exchange(), candidate.assignment(), candidate.shards(), taskBytes);
  }

  private InvalidInputException tooLittleMemory() {
    Candidate least =
        candidates.stream()
            .min(Comparator.comparingDouble(candidate -> candidate.cost().taskBytes()))
            .orElseThrow();
    return new InvalidInputException(
        "Cannot hold a task of any exchange in %s: %s over %d shards is the least and needs %s; raise %s or the executors' memory, or lower %s"
            .formatted(
                Amount.bytes(taskBytes),
                least.exchange(),
                least.shards(),
                Amount.bytes(least.cost().taskBytes()),
                AttentionConfig.Key.MAX_MEMORY.option(),
                AttentionConfig.Key.BLOCK_TOKENS.option()));
  }

  /** More shards than blocks would leave some without work. */
  private Set<Integer> shardCounts() {
    if (config.shards().isPresent()) {
      return Set.of(config.shards().getAsInt());
    }
    int blocks = Math.max(workload.queryBlocks().size(), workload.keyBlocks().size());
    Set<Integer> counts = new LinkedHashSet<>();
    for (int perSlot : SHARDS_PER_SLOT) {
      long shards = (long) perSlot * facts.slots();
      if (counts.isEmpty() || shards <= blocks) {
        counts.add((int) Math.min(shards, AttentionConfig.MAX_SHARDS));
      }
    }
    return counts;
  }

  /** The usual one first. */
  private Set<BlockAssignment> assignments() {
    if (config.assignment().isPresent()) {
      return Set.of(config.assignment().get());
    }
    Set<BlockAssignment> assignments = new LinkedHashSet<>();
    // Blocks differ in work under an uneven mask or where sequences differ in length.
    if (workload.mask().unequalWork() || workload.sequences().size() > 1) {
      assignments.add(BlockAssignment.BALANCED);
    }
    assignments.addAll(List.of(BlockAssignment.values()));
    return assignments;
  }

  private void addOwnersOfQueries(BlockAssignment assignment, int shards) {
    int[] ranks = assignment.ranks(workload.queryWork(), shards);
    RankWork[] work = profile.queryRankWork(ranks, shards);
    RankVisits[] visits = profile.visits(ranks, shards, keyRuns(shards));
    add(ExchangeKind.RING, assignment, shards, model.ring(work, visits));
    add(ExchangeKind.BARRIER, assignment, shards, model.barrier(work, visits));
    add(ExchangeKind.BROADCAST, assignment, shards, model.broadcast(work));
  }

  private List<List<Block>> keyRuns(int shards) {
    List<Block> keys = workload.keyBlocks();
    int[] keyShards = BlockAssignment.CONTIGUOUS.ranks(new long[keys.size()], shards);
    return RingSchedule.runs(keys, keyShards, Placement.maxRunTokens(workload));
  }

  private void addReduce(BlockAssignment assignment, int shards) {
    int[] keyShards = assignment.ranks(keyWork, shards);
    RankWork[] work = profile.keyRankWork(keyShards, keyWork, shards);
    add(ExchangeKind.REDUCE, assignment, shards, model.reduce(work));
  }

  /** Which blocks are whose does not matter where every task gets all of them. */
  private void addHeads(int shards) {
    int[] one = IntStream.generate(() -> 0).limit(workload.queryBlocks().size()).toArray();
    RankWork all = profile.queryRankWork(one, 1)[0];
    int groups = Math.min(shards, workload.layout().numKeyValueHeads());
    BlockAssignment assignment = assignments().iterator().next();
    add(ExchangeKind.HEADS, assignment, shards, model.heads(all, groups));
  }

  private void add(ExchangeKind exchange, BlockAssignment assignment, int shards, Cost cost) {
    candidates.add(
        new Candidate(exchange, assignment, shards, cost, refusal(exchange, shards, cost)));
  }

  private Optional<String> refusal(ExchangeKind exchange, int shards, Cost cost) {
    if (exchange == ExchangeKind.BARRIER && shards > facts.slots()) {
      return Optional.of(
          "needs %,d slots at once, the cluster has %,d".formatted(shards, facts.slots()));
    }
    return cost.taskBytes() > taskBytes
        ? Optional.of(tooLarge(cost.taskBytes()))
        : Optional.empty();
  }

  private String tooLarge(double bytes) {
    return "needs %s of memory a task, has %s"
        .formatted(Amount.bytes(bytes), Amount.bytes(taskBytes));
  }
}

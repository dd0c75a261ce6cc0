package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.driver.exchange.PairMask;
import io.sparkattention.driver.exchange.ScoreStage;
import io.sparkattention.driver.scores.Scores;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.BlockGrid;
import io.sparkattention.partitioning.ClusterFacts;
import io.sparkattention.partitioning.ClusterFacts.Fact;
import io.sparkattention.partitioning.Cost;
import io.sparkattention.partitioning.Coverage;
import io.sparkattention.partitioning.RingSchedule;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * The configuration resolved against the data and the cluster: which blocks there are, who owns
 * them, what moves, and why. Lives on Spark's driver; tasks get the parts that they need.
 */
public final class AttentionPlan {
  /**
   * Up to this largest work over the mean, contiguous shards are the default: what more a rank
   * computes is little, and a mask with a narrow view then moves little.
   */
  private static final double MAX_CONTIGUOUS_SKEW = 1.1;

  private final Workload workload;
  private final PlanChoice choice;
  private final Placement placement;
  private final MemoryLimit memory;
  private final ClusterFacts facts;
  private final String factsSource;

  /**
   * Plans a run.
   *
   * @param facts of the cluster that is to run it
   * @throws InvalidInputException if a task would need more memory than it may
   */
  public AttentionPlan(Workload workload, AttentionConfig config, ClusterFacts facts) {
    this.facts = facts;
    this.factsSource = config.factsSource();
    this.memory = new MemoryLimit(workload, config, ExecutorMemory.of(facts));
    this.choice = new Planner(workload, config, facts, memory.taskBytes()).choose();
    this.placement = choice.placement();
    this.workload = placement.workload();
    memory.check(placement);
  }

  /** What the planner chose from. */
  public PlanChoice choice() {
    return choice;
  }

  /** What the chosen placement is predicted to take. */
  public Cost predicted() {
    return choice.chosen().cost();
  }

  static String megabytes(double bytes) {
    return String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
  }

  /** What is computed. */
  public Workload workload() {
    return workload;
  }

  /** Where it is computed. */
  public Placement placement() {
    return placement;
  }

  public HeadLayout layout() {
    return workload.layout();
  }

  public List<SequenceShape> sequences() {
    return workload.sequences();
  }

  public AttentionMask mask() {
    return workload.mask();
  }

  /** The mask that is a tensor of the input, if there is one. */
  public Optional<PairMask> pairMask() {
    return workload.pairMask();
  }

  /** [sequences]: what is added to query positions before they meet the mask; not a copy. */
  public long[] offsets() {
    return workload.offsets();
  }

  public double scale() {
    return workload.scale();
  }

  /** Softcap, biases, sinks and dropout. */
  public Scores scores() {
    return workload.scores();
  }

  public BlockGrid grid() {
    return workload.grid();
  }

  /** All query blocks, by sequence and position. */
  public List<Block> queryBlocks() {
    return workload.queryBlocks();
  }

  /** [queryBlocks]: the rank that owns each; not a copy. */
  public int[] queryRanks() {
    return placement.queryRanks();
  }

  /** [queryBlocks]: the partition of the queries' RDD that holds each. */
  public int[] queryPartitions() {
    return placement.queryPartitions();
  }

  /** Partitions of the queries' RDD: one for each turn of each rank. */
  public int queryPartitionCount() {
    return placement.queryPartitionCount();
  }

  /** Whether executors store keys and values in memory; else on disk. */
  public boolean keyValuesInMemory() {
    return memory.keyValuesInMemory();
  }

  /** Whether executors store queries and finished rows in memory, too. */
  public boolean allInMemory() {
    return memory.allInMemory();
  }

  /** The partitions of the key/value RDD: consecutive key blocks of one shard. */
  public List<List<Block>> keyRuns() {
    return placement.keyRuns();
  }

  /** [keyRuns]: the shard of each; not a copy. */
  public int[] runShards() {
    return placement.runShards();
  }

  public RingSchedule schedule() {
    return placement.schedule();
  }

  public int shards() {
    return placement.shards();
  }

  public ExchangeKind exchange() {
    return placement.exchange();
  }

  public BlockAssignment assignment() {
    return placement.assignment();
  }

  /** The element type of packed keys and values. */
  public ElementType keyValueType() {
    return workload.keyValueType();
  }

  /** The kernel that was asked for, by the names of {@code AttentionKernels}. */
  public String kernel() {
    return workload.kernel();
  }

  /** The scores that are written out, if any are. */
  public Optional<ScoreStage> scoresOutput() {
    return workload.scoresOutput();
  }

  /** Queries of all sequences. */
  public long tokens() {
    return workload.queryTokens();
  }

  /** 2 · visible pairs · (keyDim + valueDim) for each query head. */
  public double flops() {
    return workload.flops();
  }

  /**
   * 2 · pairs · (keyDim + valueDim).
   *
   * @param pairs visible pairs of all heads
   */
  double flops(double pairs) {
    return workload.flops(pairs);
  }

  /**
   * Whether {@link #unmaskedPairs} is but a bound, since numbers decide, which the plan does not
   * know: a mask tensor's, or those by which blocks are chosen.
   */
  public boolean pairsAreBound() {
    return workload.pairsAreBound();
  }

  /** Pairs of a query and a key that the mask leaves visible, of all sequences, for each head. */
  public long unmaskedPairs() {
    return workload.unmaskedPairs();
  }

  /** Pairs of a query block and a key block of one sequence, by what the mask leaves of them. */
  public long blockPairs(Coverage coverage) {
    return schedule().blockPairs(coverage);
  }

  /** The largest work of a rank over the mean. */
  public double skewMaxOverMean() {
    return placement.skewMaxOverMean();
  }

  /** What is computed and where, and the table of the planner's candidates. */
  public String explain() {
    return this
        + String.format(
            Locale.ROOT,
            """
            cluster      %,d × (%d cores, %.1f GiB), %,d tasks at once, %s of memory for each
            facts        %s

            """,
            facts.executors(),
            (int) facts.get(Fact.CORES),
            facts.get(Fact.MEMORY),
            facts.slots(),
            Amount.bytes(memory.taskBytes()),
            factsSource)
        + choice.table()
        + """

        time = compute + waiting + starting + sending, as the cost model predicts it, JVMs warm: the kernel at work; bytes that
        no computing hides; stages and tasks; what is sent to all executors before. moved: bytes between executors.
        skew: the largest work of a rank over the mean.
        """;
  }

  private String moves() {
    if (facts.executors() == 1) {
      return "nothing: one executor";
    }
    String kept =
        exchange() == ExchangeKind.RING
            ? ", each of which keeps up to %s of it".formatted(Amount.bytes(cacheBytes()))
            : "";
    return "%s between %,d executors%s"
        .formatted(Amount.bytes(bytesPlanned()), facts.executors(), kept);
  }

  /** Bytes that executors are to receive from other processes; {@link Movement} counts them. */
  public long bytesPlanned() {
    return switch (exchange()) {
      case HEADS -> (long) predicted().bytesMoved();
      default -> new Movement(workload, placement, facts.executors(), cacheBytes()).bytes();
    };
  }

  /** The most bytes of fetched runs that an executor keeps for its tasks. */
  public long cacheBytes() {
    return memory.cacheBytes();
  }

  /** The plan for a person to read. */
  @Override
  public String toString() {
    return String.format(
        Locale.ROOT,
        """
        sequences    %d, %,d queries × %,d keys
        heads        %d over %d key/value heads, headDim %d, valueDim %d
        keys, values %s (%s), %s
        mask         %s, %s%,d visible pairs, %.3e FLOPs
        %sblocks       %d query and %d key blocks of %d tokens
        block pairs  %,d full, %,d partial, %,d empty
        exchange     %s (%s)
        shards       %d, %s, skew %.3f, %d fetch units of up to %s
        memory       %s
        moves        %s
        """,
        sequences().size(),
        workload.queryTokens(),
        workload.keyTokens(),
        layout().numHeads(),
        layout().numKeyValueHeads(),
        layout().keyDim(),
        layout().valueDim(),
        keyValueType(),
        workload.keyValueTypeReason(),
        megabytes((double) workload.keyTokens() * workload.keyValueBytesPerToken()),
        mask().summary() + (pairMask().isPresent() ? " and a mask tensor" : ""),
        (mask().topK().isPresent() ? "approximate, " : "") + (pairsAreBound() ? "at most " : ""),
        unmaskedPairs(),
        flops(),
        scores().summary().isEmpty() ? "" : "scores       " + scores().summary() + "\n",
        queryBlocks().size(),
        workload.keyBlocks().size(),
        grid().blockTokens(),
        blockPairs(Coverage.FULL),
        blockPairs(Coverage.PARTIAL),
        blockPairs(Coverage.EMPTY),
        exchange(),
        choice.summary(),
        shards(),
        assignment(),
        skewMaxOverMean(),
        keyRuns().size(),
        megabytes(Placement.maxRunTokens(workload) * workload.keyValueBytesPerToken()),
        memory.summary(placement),
        moves());
  }
}

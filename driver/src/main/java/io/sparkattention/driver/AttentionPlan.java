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
  private final Placement placement;
  private final String exchangeReason;
  private final String assignmentReason;
  private final Cluster cluster;
  private final Movement movement;

  /**
   * Plans a run.
   *
   * @param inputType the narrowest type that holds the input's keys and values without loss
   * @param pairMask composed with the configuration's mask; not counted in the work
   * @throws InvalidInputException if the workload cannot be computed; see {@link Workload}
   */
  public AttentionPlan(
      HeadLayout layout,
      ElementType inputType,
      List<SequenceShape> sequences,
      Optional<PairMask> pairMask,
      AttentionConfig config,
      Cluster cluster) {
    this.cluster = cluster;
    this.workload = new Workload(layout, inputType, sequences, pairMask, config);
    int shards = config.shards().orElse(cluster.slots());
    double ringBytes = ringBytes(shards);
    double reduceBytes = reduceBytes(shards);
    ExchangeKind exchange = config.exchange();
    if (exchange != ExchangeKind.AUTO) {
      this.exchangeReason = "asked for";
    } else if (reduceBytes < ringBytes) {
      exchange = ExchangeKind.REDUCE;
      this.exchangeReason = reason(reduceBytes, ExchangeKind.RING, ringBytes);
    } else {
      exchange = ExchangeKind.RING;
      this.exchangeReason = reason(ringBytes, ExchangeKind.REDUCE, reduceBytes);
    }
    BlockAssignment assignment = config.assignment().orElse(BlockAssignment.CONTIGUOUS);
    if (config.assignment().isPresent()) {
      this.assignmentReason = "asked for";
    } else if (unequalWork()) {
      double skew = Placement.skew(workload, exchange, BlockAssignment.CONTIGUOUS, shards);
      boolean even = skew <= MAX_CONTIGUOUS_SKEW;
      assignment = even ? BlockAssignment.CONTIGUOUS : BlockAssignment.BALANCED;
      this.assignmentReason =
          even
              ? "keeps neighbours together"
              : String.format(Locale.ROOT, "contiguous has skew %.3f", skew);
    } else {
      this.assignmentReason = "equal work";
    }
    this.placement = new Placement(workload, exchange, assignment, shards);
    this.movement = new Movement(workload, placement, cluster);
  }

  private static String reason(double bytes, ExchangeKind rejected, double rejectedBytes) {
    return "moves at most %s; rejected %s: %s"
        .formatted(megabytes(bytes), rejected, megabytes(rejectedBytes));
  }

  private static String megabytes(double bytes) {
    return String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
  }

  /** Ring moves keys and values to all shards but their own. */
  private double ringBytes(int shards) {
    return (double) workload.keyTokens() * workload.keyValueBytesPerToken() * (shards - 1);
  }

  /** Reduce moves all queries to all shards and their states back. */
  private double reduceBytes(int shards) {
    HeadLayout layout = workload.layout();
    double queryBytes = (double) layout.numHeads() * layout.keyDim() * Float.BYTES;
    double stateBytes = (double) layout.numHeads() * (layout.valueDim() + 1) * 20;
    return workload.queryTokens() * (queryBytes + stateBytes) * shards;
  }

  /** Blocks differ in work under an uneven mask or where sequences differ in length. */
  private boolean unequalWork() {
    return workload.mask().unequalWork() || workload.sequences().size() > 1;
  }

  /** What is computed. */
  public Workload workload() {
    return workload;
  }

  /** Where it is computed. */
  public Placement placement() {
    return placement;
  }

  /** The cluster that it is for. */
  public Cluster cluster() {
    return cluster;
  }

  /** What moves between executors. */
  public Movement movement() {
    return movement;
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

  private String moves() {
    if (cluster.executors() == 1) {
      return "nothing: one executor";
    }
    String kept =
        exchange() == ExchangeKind.RING
            ? ", each of which keeps up to %s of it".formatted(megabytes(cluster.cacheBytes()))
            : "";
    return megabytes(movement.bytes()) + " to " + cluster.executors() + " executors" + kept;
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
        assignment   %s (%s)
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
        exchangeReason,
        shards(),
        assignment(),
        skewMaxOverMean(),
        keyRuns().size(),
        megabytes(Placement.maxRunTokens(workload) * workload.keyValueBytesPerToken()),
        assignment(),
        assignmentReason,
        moves());
  }
}

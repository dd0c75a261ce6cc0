package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.driver.exchange.PairMask;
import io.sparkattention.driver.exchange.ScoreStage;
import io.sparkattention.driver.scores.Scores;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.BlockGrid;
import io.sparkattention.partitioning.BlockWork;
import io.sparkattention.partitioning.Coverage;
import io.sparkattention.partitioning.RingSchedule;
import io.sparkattention.partitioning.TopK;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * The configuration resolved against the data and the cluster: which blocks there are, who owns
 * them, what moves, and why. Lives on Spark's driver; tasks get the parts that they need.
 */
public final class AttentionPlan {
  /** Bytes of keys and values in one partition of their RDD, the unit that is fetched. */
  private static final long RUN_BYTES = 16L << 20;

  private final HeadLayout layout;
  private final List<SequenceShape> sequences;
  private final AttentionMask mask;
  private final Optional<PairMask> pairMask;
  private final long[] offsets;
  private final double scale;
  private final Scores scores;
  private final BlockGrid grid;
  private final List<Block> queryBlocks;
  private final List<Block> keyBlocks;
  private final int shards;
  private final ExchangeKind exchange;
  private final String exchangeReason;
  private final BlockAssignment assignment;
  private final int[] queryRanks;
  private final List<List<Block>> keyRuns;
  private final int[] runShards;
  private final RingSchedule schedule;
  private final ElementType keyValueType;
  private final String keyValueTypeReason;
  private final String kernel;
  private final Optional<ScoreStage> scoresOutput;
  private final long unmaskedPairs;
  private final double skew;

  /**
   * Plans a run.
   *
   * @param inputType the narrowest type that holds the input's keys and values without loss
   * @param pairMask composed with the configuration's mask; not counted in the work
   * @param slots tasks that the cluster runs at once
   * @throws InvalidInputException if a sequence has more key blocks than a state may merge, a block
   *     is too large, the mask was written for longer sequences, or a score setting for another
   *     number of heads
   */
  public AttentionPlan(
      HeadLayout layout,
      ElementType inputType,
      List<SequenceShape> sequences,
      Optional<PairMask> pairMask,
      AttentionConfig config,
      int slots) {
    this.layout = layout;
    this.keyValueType = config.keyValueType().orElse(inputType);
    this.keyValueTypeReason =
        config.keyValueType().isPresent() ? "asked for" : "the narrowest without loss";
    this.sequences = List.copyOf(sequences);
    this.mask = config.mask();
    this.pairMask = pairMask;
    this.scale = config.scale().orElse(1 / Math.sqrt(layout.keyDim()));
    this.scores = Scores.of(config.scores(), layout.numHeads());
    this.grid = new BlockGrid(config.blockTokens());
    this.kernel = config.kernel();
    this.scoresOutput = config.scoresOutput();
    this.offsets = new long[sequences.size()];
    this.queryBlocks = new ArrayList<>();
    this.keyBlocks = new ArrayList<>();
    for (int s = 0; s < sequences.size(); s++) {
      SequenceShape shape = sequences.get(s);
      checkLeaves(shape);
      checkBlock(shape);
      offsets[s] = shape.offset(config.causalAlignment());
      queryBlocks.addAll(grid.blocks(s, shape.firstQuery(), shape.queries()));
      keyBlocks.addAll(grid.blocks(s, 0, shape.keys()));
    }
    checkMask();
    mask.topK().ifPresent(this::checkTopK);
    this.shards = config.shards().orElse(slots);
    this.exchange = chooseExchange(config.exchange());
    this.exchangeReason = exchangeReason(config.exchange());
    this.assignment = config.assignment().orElse(defaultAssignment());

    long[] queryWork = BlockWork.queryWork(mask, offsets, queryBlocks, keyBlocks);
    this.unmaskedPairs = total(queryWork);
    int[] keyShards;
    if (exchange == ExchangeKind.REDUCE) {
      long[] keyWork = BlockWork.keyWork(mask, offsets, queryBlocks, keyBlocks);
      keyShards = assignment.ranks(keyWork, shards);
      this.queryRanks = BlockAssignment.CONTIGUOUS.ranks(queryWork, shards);
      this.skew = maxOverMean(keyWork, keyShards);
    } else {
      // The work of a rank is that of its queries; key blocks stay in order for long fetches.
      keyShards = BlockAssignment.CONTIGUOUS.ranks(new long[keyBlocks.size()], shards);
      this.queryRanks = assignment.ranks(queryWork, shards);
      this.skew = maxOverMean(queryWork, queryRanks);
    }
    this.keyRuns = RingSchedule.runs(keyBlocks, keyShards, maxRunTokens());
    this.runShards = RingSchedule.runShards(keyRuns, keyShards);
    this.schedule =
        new RingSchedule(mask, offsets, queryBlocks, queryRanks, keyRuns, runShards, shards);
  }

  /** Before the blocks are listed, which memory might not hold. */
  private void checkLeaves(SequenceShape shape) {
    long keyBlockCount = grid.index(shape.keys() - 1) + 1;
    if (keyBlockCount > AttentionState.MAX_LEAVES) {
      throw new InvalidInputException(
          "Cannot merge %d key blocks of sequence '%s' exactly: expected at most %d, raise %s"
              .formatted(
                  keyBlockCount,
                  shape.id(),
                  AttentionState.MAX_LEAVES,
                  AttentionConfig.Key.BLOCK_TOKENS.option()));
    }
  }

  /** The arrays of a block, and of its state, are indexed by int. */
  private void checkBlock(SequenceShape shape) {
    long tokens = Math.min(grid.blockTokens(), Math.max(shape.queries(), shape.keys()));
    // Keys are padded to panels of 64, value columns to 16; a state has one element more.
    long rows = Math.addExact(tokens, 63);
    long width = Math.max(layout.keyDim(), layout.valueDim() + 16L);
    if ((double) rows * layout.numHeads() * width > Integer.MAX_VALUE) {
      throw new InvalidInputException(
          "Cannot hold a block of %d tokens × %d heads × %d in an array: expected at most 2^31, lower %s"
              .formatted(
                  tokens, layout.numHeads(), width, AttentionConfig.Key.BLOCK_TOKENS.option()));
    }
  }

  /**
   * A list for a longer sequence is a list for another one: the mask would not be what is meant.
   */
  private void checkMask() {
    long longest = 0;
    for (int s = 0; s < offsets.length; s++) {
      SequenceShape shape = sequences.get(s);
      long queryEnd = shape.firstQuery() + shape.queries() + offsets[s];
      longest = Math.max(longest, Math.max(shape.keys(), queryEnd));
    }
    if (mask.namedEnd() > longest) {
      throw new InvalidInputException(
          "Cannot use mask '%s': it names what begins at position %d, expected positions below %d, where the longest sequence ends; correct its list or BLOCKS"
              .formatted(mask.summary(), mask.namedEnd() - 1, longest));
    }
  }

  /** A chosen block lies in one key block, whose owner computes its mean key. */
  private void checkTopK(TopK topK) {
    if (grid.blockTokens() % topK.blockTokens() != 0) {
      throw new InvalidInputException(
          "Cannot choose key blocks of %d tokens: expected a SIZE that divides the %d tokens of a block; correct the mask or %s"
              .formatted(
                  topK.blockTokens(),
                  grid.blockTokens(),
                  AttentionConfig.Key.BLOCK_TOKENS.option()));
    }
    long width = (long) layout.numKeyValueHeads() * layout.keyDim();
    long longest = sequences.stream().mapToLong(SequenceShape::keys).max().orElse(0);
    if ((double) longest / topK.blockTokens() * width > Integer.MAX_VALUE) {
      throw new InvalidInputException(
          "Cannot hold the mean keys of %d tokens in an array: expected at most 2^31 numbers, raise the mask's SIZE of %d"
              .formatted(longest, topK.blockTokens()));
    }
  }

  /** All visible pairs; the work of a single block fits, since its keys are limited. */
  private long total(long[] queryWork) {
    try {
      return Arrays.stream(queryWork).reduce(0, Math::addExact);
    } catch (ArithmeticException e) {
      throw new InvalidInputException(
          "Cannot count the pairs of a query and a key that mask '%s' leaves of %d queries and %d keys: expected less than 2^63; shorten the sequences"
              .formatted(mask.summary(), tokens(queryBlocks), tokens(keyBlocks)),
          e);
    }
  }

  /** Reduce moves all queries to all shards and their states back; ring moves keys and values. */
  private ExchangeKind chooseExchange(ExchangeKind asked) {
    if (asked != ExchangeKind.AUTO) {
      return asked;
    }
    return reduceBytes() < ringBytes() ? ExchangeKind.REDUCE : ExchangeKind.RING;
  }

  private String exchangeReason(ExchangeKind asked) {
    if (asked != ExchangeKind.AUTO) {
      return "asked for";
    }
    return String.format(
        Locale.ROOT,
        "moves at most %s; rejected %s: %s",
        megabytes(exchange == ExchangeKind.RING ? ringBytes() : reduceBytes()),
        exchange == ExchangeKind.RING ? ExchangeKind.REDUCE : ExchangeKind.RING,
        megabytes(exchange == ExchangeKind.RING ? reduceBytes() : ringBytes()));
  }

  private static String megabytes(double bytes) {
    return String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
  }

  private double ringBytes() {
    return (double) tokens(keyBlocks) * keyValueBytesPerToken() * (shards - 1);
  }

  private double reduceBytes() {
    double queryBytes = (double) layout.numHeads() * layout.keyDim() * Float.BYTES;
    double stateBytes = (double) layout.numHeads() * (layout.valueDim() + 1) * 20;
    return tokens(queryBlocks) * (queryBytes + stateBytes) * shards;
  }

  private static long tokens(List<Block> blocks) {
    return blocks.stream().mapToLong(Block::tokens).sum();
  }

  private long keyValueBytesPerToken() {
    return (long) layout.numKeyValueHeads()
        * (layout.keyDim() + layout.valueDim())
        * keyValueType.bytes();
  }

  private long maxRunTokens() {
    return Math.max(1, RUN_BYTES / keyValueBytesPerToken());
  }

  /** Blocks differ in work under an uneven mask or where sequences differ in length. */
  private BlockAssignment defaultAssignment() {
    return mask.unequalWork() || sequences.size() > 1
        ? BlockAssignment.BALANCED
        : BlockAssignment.CONTIGUOUS;
  }

  private double maxOverMean(long[] work, int[] owners) {
    double[] perRank = new double[shards];
    for (int i = 0; i < work.length; i++) {
      perRank[owners[i]] += work[i];
    }
    double sum = Arrays.stream(perRank).sum();
    return sum == 0 ? 1 : Arrays.stream(perRank).max().orElseThrow() * shards / sum;
  }

  public HeadLayout layout() {
    return layout;
  }

  public List<SequenceShape> sequences() {
    return sequences;
  }

  public AttentionMask mask() {
    return mask;
  }

  /** The mask that is a tensor of the input, if there is one. */
  public Optional<PairMask> pairMask() {
    return pairMask;
  }

  /** [sequences]: what is added to query positions before they meet the mask; not a copy. */
  public long[] offsets() {
    return offsets;
  }

  public double scale() {
    return scale;
  }

  /** Softcap, biases, sinks and dropout. */
  public Scores scores() {
    return scores;
  }

  public BlockGrid grid() {
    return grid;
  }

  /** All query blocks, by sequence and position. */
  public List<Block> queryBlocks() {
    return queryBlocks;
  }

  /** [queryBlocks]: the rank that owns each; not a copy. */
  public int[] queryRanks() {
    return queryRanks;
  }

  /** The partitions of the key/value RDD: consecutive key blocks of one shard. */
  public List<List<Block>> keyRuns() {
    return keyRuns;
  }

  /** [keyRuns]: the shard of each; not a copy. */
  public int[] runShards() {
    return runShards;
  }

  public RingSchedule schedule() {
    return schedule;
  }

  public int shards() {
    return shards;
  }

  public ExchangeKind exchange() {
    return exchange;
  }

  public BlockAssignment assignment() {
    return assignment;
  }

  /** The element type of packed keys and values. */
  public ElementType keyValueType() {
    return keyValueType;
  }

  /** The kernel that was asked for, by the names of {@code AttentionKernels}. */
  public String kernel() {
    return kernel;
  }

  /** The scores that are written out, if any are. */
  public Optional<ScoreStage> scoresOutput() {
    return scoresOutput;
  }

  /** Queries of all sequences. */
  public long tokens() {
    return tokens(queryBlocks);
  }

  /** 2 · visible pairs · (keyDim + valueDim) for each query head. */
  public double flops() {
    return flops((double) unmaskedPairs * layout.numHeads());
  }

  /**
   * 2 · pairs · (keyDim + valueDim).
   *
   * @param pairs visible pairs of all heads
   */
  double flops(double pairs) {
    return 2 * pairs * (layout.keyDim() + layout.valueDim());
  }

  /**
   * Whether {@link #unmaskedPairs} is but a bound, since numbers decide, which the plan does not
   * know: a mask tensor's, or those by which blocks are chosen.
   */
  public boolean pairsAreBound() {
    return pairMask.isPresent() || mask.topK().isPresent();
  }

  /** Pairs of a query and a key that the mask leaves visible, of all sequences, for each head. */
  public long unmaskedPairs() {
    return unmaskedPairs;
  }

  /** Pairs of a query block and a key block of one sequence, by what the mask leaves of them. */
  public long blockPairs(Coverage coverage) {
    return schedule.blockPairs(coverage);
  }

  /** The largest work of a rank over the mean. */
  public double skewMaxOverMean() {
    return skew;
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
        """,
        sequences.size(),
        tokens(queryBlocks),
        tokens(keyBlocks),
        layout.numHeads(),
        layout.numKeyValueHeads(),
        layout.keyDim(),
        layout.valueDim(),
        keyValueType,
        keyValueTypeReason,
        megabytes((double) tokens(keyBlocks) * keyValueBytesPerToken()),
        mask.summary() + (pairMask.isPresent() ? " and a mask tensor" : ""),
        (mask.topK().isPresent() ? "approximate, " : "") + (pairsAreBound() ? "at most " : ""),
        unmaskedPairs,
        flops(),
        scores.summary().isEmpty() ? "" : "scores       " + scores.summary() + "\n",
        queryBlocks.size(),
        keyBlocks.size(),
        grid.blockTokens(),
        blockPairs(Coverage.FULL),
        blockPairs(Coverage.PARTIAL),
        blockPairs(Coverage.EMPTY),
        exchange,
        exchangeReason,
        shards,
        assignment,
        skew,
        keyRuns.size(),
        megabytes(maxRunTokens() * keyValueBytesPerToken()));
  }
}

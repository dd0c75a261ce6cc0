package io.sparkattention.driver;

import io.sparkattention.driver.exchange.PairMask;
import io.sparkattention.driver.exchange.ScoreStage;
import io.sparkattention.driver.scores.Scores;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockGrid;
import io.sparkattention.partitioning.BlockWork;
import io.sparkattention.partitioning.HeadSizes;
import io.sparkattention.partitioning.WorkProfile;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * What is to be computed: the configuration resolved against the data, whatever cluster computes
 * it. All that the bits of the result depend on is here.
 */
public final class Workload {
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
  private final long[] queryWork;
  private final ElementType keyValueType;
  private final String keyValueTypeReason;
  private final String kernel;
  private final Optional<ScoreStage> scoresOutput;
  private final long unmaskedPairs;

  /**
   * Lists the blocks and counts their work.
   *
   * @param inputType the narrowest type that holds the input's keys and values without loss
   * @param pairMask composed with the configuration's mask; not counted in the work
   * @throws InvalidInputException if a sequence has more key blocks than a state may merge, a block
   *     is too large, the mask was written for longer sequences, or a score setting for another
   *     number of heads
   */
  public Workload(
      HeadLayout layout,
      ElementType inputType,
      List<SequenceShape> sequences,
      Optional<PairMask> pairMask,
      AttentionConfig config) {
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
    PlanLimits limits = new PlanLimits(layout, grid);
    this.offsets = new long[sequences.size()];
    this.queryBlocks = new ArrayList<>();
    this.keyBlocks = new ArrayList<>();
    for (int s = 0; s < sequences.size(); s++) {
      SequenceShape shape = sequences.get(s);
      limits.check(shape);
      offsets[s] = shape.offset(config.causalAlignment());
      queryBlocks.addAll(grid.blocks(s, shape.firstQuery(), shape.queries()));
      keyBlocks.addAll(grid.blocks(s, 0, shape.keys()));
    }
    limits.check(mask, this.sequences, offsets);
    this.queryWork = BlockWork.queryWork(mask, offsets, queryBlocks, keyBlocks);
    this.unmaskedPairs = total(queryWork);
  }

  /** The workload of an input. */
  public static Workload of(AttentionInput input, AttentionConfig config) {
    return new Workload(
        input.layout(), input.keyValueType(), input.sequences(), input.pairMask(), config);
  }

  /** The same queries in other blocks. */
  private Workload(Workload other, List<Block> queryBlocks) {
    this.layout = other.layout;
    this.sequences = other.sequences;
    this.mask = other.mask;
    this.pairMask = other.pairMask;
    this.offsets = other.offsets;
    this.scale = other.scale;
    this.scores = other.scores;
    this.grid = other.grid;
    this.keyBlocks = other.keyBlocks;
    this.keyValueType = other.keyValueType;
    this.keyValueTypeReason = other.keyValueTypeReason;
    this.kernel = other.kernel;
    this.scoresOutput = other.scoresOutput;
    this.unmaskedPairs = other.unmaskedPairs;
    this.queryBlocks = queryBlocks;
    this.queryWork = BlockWork.queryWork(mask, offsets, queryBlocks, keyBlocks);
  }

  /**
   * The same workload, for ranks that own queries: where the mask or the lengths leave some query
   * blocks so much work that whole blocks cannot be even, those are cut. No bit depends on it.
   */
  Workload cutFor(int ranks) {
    List<Block> cut = BlockWork.cutHeavy(mask, offsets, queryBlocks, keyBlocks, ranks);
    return cut.equals(queryBlocks) ? this : new Workload(this, cut);
  }

  /** All visible pairs; the work of a single block fits, since its keys are limited. */
  private long total(long[] queryWork) {
    try {
      return Arrays.stream(queryWork).reduce(0, Math::addExact);
    } catch (ArithmeticException e) {
      throw new InvalidInputException(
          "Cannot count the pairs of a query and a key that mask '%s' leaves of %d queries and %d keys: expected less than 2^63; shorten the sequences"
              .formatted(mask.summary(), queryTokens(), keyTokens()),
          e);
    }
  }

  private static long tokens(List<Block> blocks) {
    return blocks.stream().mapToLong(Block::tokens).sum();
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

  /** All key blocks, by sequence and position. */
  public List<Block> keyBlocks() {
    return keyBlocks;
  }

  /** [queryBlocks]: visible pairs of each with all keys of its sequence; not a copy. */
  public long[] queryWork() {
    return queryWork;
  }

  /** [keyBlocks]: visible pairs of each with all queries of its sequence; counted now. */
  public long[] keyWork() {
    return BlockWork.keyWork(mask, offsets, queryBlocks, keyBlocks);
  }

  /** Queries of all sequences. */
  public long queryTokens() {
    return tokens(queryBlocks);
  }

  /** Keys of all sequences. */
  public long keyTokens() {
    return tokens(keyBlocks);
  }

  /** The element type of packed keys and values. */
  public ElementType keyValueType() {
    return keyValueType;
  }

  /** Why it is that type. */
  public String keyValueTypeReason() {
    return keyValueTypeReason;
  }

  /** Bytes of a packed key and value of all heads. */
  public long keyValueBytesPerToken() {
    return (long) layout.numKeyValueHeads()
        * (layout.keyDim() + layout.valueDim())
        * keyValueType.bytes();
  }

  /** How much a token is. */
  HeadSizes headSizes() {
    return new HeadSizes(
        layout.numHeads(),
        layout.numKeyValueHeads(),
        layout.keyDim(),
        layout.valueDim(),
        keyValueType.bytes());
  }

  /** What each block costs, for the cost model; counted now. */
  WorkProfile profile() {
    return new WorkProfile(mask, offsets, queryBlocks, keyBlocks, queryWork);
  }

  /** The kernel that was asked for, by the names of {@code AttentionKernels}. */
  public String kernel() {
    return kernel;
  }

  /** The scores that are written out, if any are. */
  public Optional<ScoreStage> scoresOutput() {
    return scoresOutput;
  }

  /** Pairs of a query and a key that the mask leaves visible, of all sequences, for each head. */
  public long unmaskedPairs() {
    return unmaskedPairs;
  }

  /**
   * Whether {@link #unmaskedPairs} is but a bound, since numbers decide, which nobody knows yet: a
   * mask tensor's, or those by which blocks are chosen.
   */
  public boolean pairsAreBound() {
    return pairMask.isPresent() || mask.topK().isPresent();
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
  public double flops(double pairs) {
    return 2 * pairs * (layout.keyDim() + layout.valueDim());
  }
}

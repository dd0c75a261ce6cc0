package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.scores.Scores;
import io.sparkattention.kernels.AttentionKernel;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.Dropout;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.HeadSlice;
import io.sparkattention.kernels.InvalidElementException;
import io.sparkattention.kernels.ScoreBias;
import io.sparkattention.kernels.ScoreMatrix;
import io.sparkattention.kernels.ScoreTransform;
import io.sparkattention.kernels.VisibleKeys;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.Coverage;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDD;

/**
 * What every exchange does with a pair of blocks once both are in one task: nothing if the mask
 * covers the pair, else fold the keys into the queries' state, which it finishes when all are
 * there. Travels with the tasks.
 */
final class PairFold implements Serializable {
  private static final long serialVersionUID = 1L;

  /** The heads that it folds; in its blocks and states they count from 0. */
  private final HeadSlice heads;

  private final AttentionMask mask;

  /** Null where there is none. */
  private final PairMask pairMask;

  /** Null where the mask asks for none. */
  private final BlockChoice choice;

  private final long[] offsets;
  private final Scores scores;
  private final String[] sequenceIds;
  private final String kernelName;
  private transient AttentionKernel kernel;
  private transient long countedPairs;
  private transient long computeNanos;
  private transient long finishNanos;

  private PairFold(AttentionPlan plan, BlockChoice choice) {
    this.choice = choice;
    this.heads = HeadSlice.whole(plan.layout());
    this.mask = plan.mask();
    this.pairMask = plan.pairMask().orElse(null);
    this.offsets = plan.offsets();
    this.scores = plan.scores();
    this.sequenceIds = plan.sequences().stream().map(SequenceShape::id).toArray(String[]::new);
    this.kernelName = plan.kernel();
  }

  private PairFold(PairFold all, HeadSlice heads) {
    this.heads = heads;
    this.mask = all.mask;
    this.pairMask = all.pairMask;
    this.choice = all.choice == null ? null : all.choice.ofHeads(heads);
    this.offsets = all.offsets;
    this.scores = all.scores.ofHeads(heads);
    this.sequenceIds = all.sequenceIds;
    this.kernelName = all.kernelName;
  }

  /** The fold of some of the heads, whose blocks hold no others. */
  PairFold ofHeads(HeadSlice slice) {
    return slice.isWhole() ? this : new PairFold(this, slice);
  }

  /**
   * The fold of a run.
   *
   * @param keyValues persisted and materialised; read now where the mask asks for block top-k
   */
  static PairFold of(AttentionPlan plan, JavaRDD<PlacedKeyValues> keyValues) {
    BlockChoice choice =
        plan.mask().topK().map(topK -> BlockChoice.of(plan, topK, keyValues)).orElse(null);
    return new PairFold(plan, choice);
  }

  /** The fold of a run whose mask does not ask for block top-k. */
  static PairFold of(AttentionPlan plan) {
    return new PairFold(plan, null);
  }

  /**
   * Visible pairs of a query and a key of all heads that this task has folded, of the plans that do
   * not know them; see {@link AttentionPlan#pairsAreBound}.
   */
  long countedPairs() {
    return countedPairs;
  }

  /** What of this task's time went into {@link #fold} and {@link #finish}. */
  TimeSplit times() {
    return new TimeSplit(computeNanos, 0, 0, finishNanos);
  }

  /** The state of queries that have seen no key. */
  AttentionState emptyState(Block queries) {
    HeadLayout layout = heads.layout();
    return new AttentionState(layout.numHeads(), queries.tokens(), layout.valueDim());
  }

  /** Whether any query of the one sees any key of the other. */
  boolean meets(Block queries, Block keys) {
    return coverage(queries, keys) != Coverage.EMPTY;
  }

  /** Whether any query of any of the blocks sees any key of the one. */
  boolean meetsAny(Block[] queries, Block keys) {
    return Arrays.stream(queries).anyMatch(block -> meets(block, keys));
  }

  /**
   * Folds the keys into the state of the queries, on as many threads as the task has CPUs.
   *
   * @throws InvalidInputException if a score is out of range or a bias none; names sequence, head
   *     and position
   */
  void fold(PlacedQueries queries, PlacedKeyValues keys, AttentionState state) {
    long start = System.nanoTime();
    try {
      Optional<View> view = view(queries, keys.block());
      if (view.isEmpty()) {
        return;
      }
      kernel()
          .fold(
              queries.queries(),
              keys.keyValues(),
              view.get().visible,
              view.get().transform,
              state,
              TaskContext.get().cpus());
    } catch (InvalidElementException e) {
      throw invalid(e, queries.block());
    } finally {
      computeNanos += System.nanoTime() - start;
    }
  }

  /** The rows of queries that have seen all their keys. */
  AttentionRows finish(Block queries, AttentionState state) {
    long start = System.nanoTime();
    AttentionRows rows = AttentionRows.finish(queries, state, scores);
    finishNanos += System.nanoTime() - start;
    return rows;
  }

  /**
   * Scores of the pair after a stage before the softmax, by the steps of {@link #fold}.
   *
   * @return [numHeads, query tokens, key tokens]
   */
  float[] scores(PlacedQueries queries, PlacedKeyValues keys, ScoreStage stage) {
    try {
      View view =
          switch (stage) {
            case SCALED -> new View(VisibleKeys.all(), ScoreTransform.NONE);
            case SOFTCAPPED -> new View(VisibleKeys.all(), softcap());
            case MASKED, SOFTMAX ->
                view(queries, keys.block())
                    .orElseGet(() -> new View(nothing(queries.block()), ScoreTransform.NONE));
          };
      return ScoreMatrix.of(
          kernel(), queries.queries(), keys.keyValues(), view.visible, view.transform);
    } catch (InvalidElementException e) {
      throw invalid(e, queries.block());
    }
  }

  /** Which keys of a block the queries of another see, and what becomes of the scores. */
  private record View(VisibleKeys visible, ScoreTransform transform) {}

  /** Empty where no query sees a key. */
  private Optional<View> view(PlacedQueries placed, Block keys) {
    Block queries = placed.block();
    Coverage coverage = coverage(queries, keys);
    if (coverage == Coverage.EMPTY) {
      return Optional.empty();
    }
    List<ScoreBias> biases = scores.biases(queries, keys, offsets[queries.sequence()]);
    if (pairMask == null && choice == null) {
      VisibleKeys visible = visibleKeys(coverage, queries, keys);
      return Optional.of(new View(visible, transform(queries, keys, biases)));
    }
    PairMask.Pair pair = pair(placed, keys);
    countedPairs += pair.visiblePairs(heads.layout().numHeads());
    if (pair.isEmpty()) {
      return Optional.empty();
    }
    pair.bias().ifPresent(biases::add);
    return Optional.of(new View(pair.visible(), transform(queries, keys, biases)));
  }

  /** What the plan's mask, with what was chosen under it, and the mask tensor leave. */
  private PairMask.Pair pair(PlacedQueries placed, Block keys) {
    Block queries = placed.block();
    PairMask.Pair ofMask =
        choice == null
            ? new PairMask.Pair(bits(queries, keys), 1, queries.tokens(), null)
            : new PairMask.Pair(
                choice.bits(kernel(), placed, keys),
                heads.layout().numHeads(),
                queries.tokens(),
                null);
    return pairMask == null ? ofMask : pairMask.read(queries, keys, heads).and(ofMask);
  }

  private ScoreTransform transform(Block queries, Block keys, List<ScoreBias> biases) {
    return new ScoreTransform(scores.softcap(), biases, scores.dropout(queries, keys));
  }

  private ScoreTransform softcap() {
    return new ScoreTransform(scores.softcap(), List.of(), Dropout.NONE);
  }

  private static VisibleKeys nothing(Block queries) {
    int[] none = new int[queries.tokens()];
    return VisibleKeys.ofIntervals(none, none);
  }

  private InvalidInputException invalid(InvalidElementException e, Block queries) {
    InvalidElementException inAllHeads =
        new InvalidElementException(
            e.what(), heads.firstHead() + e.head(), e.row(), e.value(), e.expected());
    return InvalidInputException.of(inAllHeads, sequenceIds[queries.sequence()], queries.start());
  }

  private Coverage coverage(Block queries, Block keys) {
    return queries.sequence() == keys.sequence()
        ? mask.coverage(queries, keys, offsets[queries.sequence()])
        : Coverage.EMPTY;
  }

  private VisibleKeys visibleKeys(Coverage coverage, Block queries, Block keys) {
    if (coverage == Coverage.FULL) {
      return VisibleKeys.all();
    }
    long offset = offsets[queries.sequence()];
    int[] from = new int[queries.tokens()];
    int[] to = new int[queries.tokens()];
    if (mask.intervals(queries, keys, offset, from, to)) {
      return VisibleKeys.ofIntervals(from, to);
    }
    return VisibleKeys.ofBits(bits(queries, keys), AttentionMask.wordsPerRow(keys));
  }

  /** [query rows, words of a row]: the keys that the plan's mask leaves visible. */
  private long[] bits(Block queries, Block keys) {
    long[] words = new long[Math.multiplyExact(queries.tokens(), AttentionMask.wordsPerRow(keys))];
    mask.visible(queries, keys, offsets[queries.sequence()], words);
    return words;
  }

  private AttentionKernel kernel() {
    if (kernel == null) {
      kernel = AttentionKernels.named(kernelName).kernel();
    }
    return kernel;
  }
}

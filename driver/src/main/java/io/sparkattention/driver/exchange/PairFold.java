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
import io.sparkattention.kernels.InvalidElementException;
import io.sparkattention.kernels.ScoreBias;
import io.sparkattention.kernels.ScoreMatrix;
import io.sparkattention.kernels.ScoreTransform;
import io.sparkattention.kernels.VisibleKeys;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.Coverage;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.spark.TaskContext;

/**
 * What every exchange does with a pair of blocks once both are in one task: nothing if the mask
 * covers the pair, else fold the keys into the queries' state, which it finishes when all are
 * there. Travels with the tasks.
 */
final class PairFold implements Serializable {
  private static final long serialVersionUID = 1L;

  private final HeadLayout layout;
  private final AttentionMask mask;

  /** Null where there is none. */
  private final PairMask pairMask;

  private final long[] offsets;
  private final Scores scores;
  private final String[] sequenceIds;
  private final String kernelName;
  private transient AttentionKernel kernel;

  PairFold(AttentionPlan plan) {
    this.layout = plan.layout();
    this.mask = plan.mask();
    this.pairMask = plan.pairMask().orElse(null);
    this.offsets = plan.offsets();
    this.scores = plan.scores();
    this.sequenceIds = plan.sequences().stream().map(SequenceShape::id).toArray(String[]::new);
    this.kernelName = plan.kernel();
  }

  /** The state of queries that have seen no key. */
  AttentionState emptyState(Block queries) {
    return new AttentionState(layout.numHeads(), queries.tokens(), layout.valueDim());
  }

  /** Whether any query of the one sees any key of the other. */
  boolean meets(Block queries, Block keys) {
    return coverage(queries, keys) != Coverage.EMPTY;
  }

  /**
   * Folds the keys into the state of the queries, on as many threads as the task has CPUs.
   *
   * @throws InvalidInputException if a score is out of range or a bias none; names sequence, head
   *     and position
   */
  void fold(PlacedQueries queries, PlacedKeyValues keys, AttentionState state) {
    try {
      Optional<View> view = view(queries.block(), keys.block());
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
    }
  }

  /** The rows of queries that have seen all their keys. */
  AttentionRows finish(Block queries, AttentionState state) {
    return AttentionRows.finish(queries, state, scores);
  }

  /**
   * Scores of the pair after a stage before the softmax, by the steps of {@link #fold}.
   *
   * @return [numHeads, query tokens, key tokens]
   */
  float[] scores(PlacedQueries queries, PlacedKeyValues keys, ScoreStage stage) {
    try {
      View view = view(queries.block(), keys.block(), stage);
      return ScoreMatrix.of(
          kernel(), queries.queries(), keys.keyValues(), view.visible, view.transform);
    } catch (InvalidElementException e) {
      throw invalid(e, queries.block());
    }
  }

  /** Which keys of a block the queries of another see, and what becomes of the scores. */
  private record View(VisibleKeys visible, ScoreTransform transform) {}

  /** As far as a stage of the scores needs it. */
  private View view(Block queries, Block keys, ScoreStage stage) {
    return switch (stage) {
      case SCALED -> new View(VisibleKeys.all(), ScoreTransform.NONE);
      case SOFTCAPPED ->
          new View(
              VisibleKeys.all(), new ScoreTransform(scores.softcap(), List.of(), Dropout.NONE));
      case MASKED, SOFTMAX ->
          view(queries, keys).orElseGet(() -> new View(nothing(queries), ScoreTransform.NONE));
    };
  }

  /** Empty where no query sees a key. */
  private Optional<View> view(Block queries, Block keys) {
    Coverage coverage = coverage(queries, keys);
    if (coverage == Coverage.EMPTY) {
      return Optional.empty();
    }
    if (pairMask == null) {
      VisibleKeys visible = visibleKeys(coverage, queries, keys);
      return Optional.of(new View(visible, transform(queries, keys, Optional.empty())));
    }
    PairMask.Pair pair = pairMask.read(queries, keys);
    if (coverage != Coverage.FULL) {
      pair.and(bits(queries, keys));
    }
    return pair.isEmpty()
        ? Optional.empty()
        : Optional.of(new View(pair.visible(), transform(queries, keys, pair.bias())));
  }

  /**
   * @param tensor what a mask tensor adds to the scores
   */
  private ScoreTransform transform(Block queries, Block keys, Optional<ScoreBias> tensor) {
    List<ScoreBias> biases =
        new ArrayList<>(scores.biases(queries, keys, offsets[queries.sequence()]));
    tensor.ifPresent(biases::add);
    return new ScoreTransform(scores.softcap(), biases, scores.dropout(queries, keys));
  }

  private static VisibleKeys nothing(Block queries) {
    int[] none = new int[queries.tokens()];
    return VisibleKeys.ofIntervals(none, none);
  }

  private InvalidInputException invalid(InvalidElementException e, Block queries) {
    return InvalidInputException.of(e, sequenceIds[queries.sequence()], queries.start());
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

package io.sparkattention.driver.calibrate;

import io.sparkattention.kernels.AttentionKernel;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.kernels.ScoreTransform;
import io.sparkattention.kernels.VisibleKeys;
import io.sparkattention.partitioning.ClusterFacts;
import io.sparkattention.partitioning.ClusterFacts.Fact;
import io.sparkattention.partitioning.WorkProfile;
import java.util.Arrays;
import java.util.Random;

/**
 * Folds of a few shapes in one task slot, and what they say of the kernel: each shape has one thing
 * more of what the cost model counts.
 */
final class KernelTimes {
  private static final int HEADS = 8;
  private static final int TOKENS = 2048;
  private static final int SHORT_BLOCKS = 8;
  private static final int WINDOW = 128;
  private static final int STREAMED_BLOCKS = 4;
  private static final int FEW_KEYS = 64;
  private static final double WARM_UP_SECONDS = 0.3;
  private static final double SECONDS = 1.0;
  private static final int LEAST_ROUNDS = 3;
  private static final long SEED = 1;

  /** Of {@link #measure}. */
  private static final int WIDE = 0;

  private static final int WIDER = 1;
  private static final int SHORT = 2;
  private static final int WINDOWED = 3;
  private static final int ONE_QUERY = 4;
  private static final int FEW = 5;
  private static final int NEW_STATE = 6;
  private static final int SHAPES = 7;

  private final AttentionKernel kernel = AttentionKernels.auto().kernel();
  private final int threads;

  private KernelTimes(int threads) {
    this.threads = threads;
  }

  /**
   * Seconds of a fold of each shape; for {@link #facts} their means over the slots.
   *
   * @param threads of the task
   */
  static double[] measure(int threads) {
    KernelTimes times = new KernelTimes(threads);
    double[] seconds = new double[SHAPES];
    HeadLayout layout = new HeadLayout(HEADS, HEADS, 64, 64);
    QueryBlock queries = queries(layout, TOKENS);
    KeyValueBlock keys = keyValues(layout, TOKENS);
    AttentionState state = state(layout, TOKENS);
    seconds[WIDE] = times.median(() -> times.fold(queries, keys, VisibleKeys.all(), state));
    KeyValueBlock part = keyValues(layout, TOKENS / SHORT_BLOCKS);
    seconds[SHORT] =
        times.median(
            () -> {
              for (int i = 0; i < SHORT_BLOCKS; i++) {
                times.fold(queries, part, VisibleKeys.all(), state);
              }
            });
    VisibleKeys window = window();
    seconds[WINDOWED] = times.median(() -> times.fold(queries, keys, window, state));
    KeyValueBlock few = keyValues(layout, FEW_KEYS);
    seconds[FEW] = times.median(() -> times.fold(queries, few, VisibleKeys.all(), state));
    seconds[NEW_STATE] =
        times.median(
            () -> {
              AttentionState fresh = state(layout, TOKENS);
              times.fold(queries, few, VisibleKeys.all(), fresh);
              finish(fresh);
            });
    seconds[ONE_QUERY] = times.oneQuery(layout);
    seconds[WIDER] = times.wider();
    return seconds;
  }

  private double oneQuery(HeadLayout layout) {
    QueryBlock query = queries(layout, 1);
    KeyValueBlock[] blocks = new KeyValueBlock[STREAMED_BLOCKS];
    Arrays.setAll(blocks, i -> keyValues(layout, TOKENS));
    AttentionState state = state(layout, 1);
    return median(
        () -> {
          for (KeyValueBlock block : blocks) {
            fold(query, block, VisibleKeys.all(), state);
          }
        });
  }

  private double wider() {
    HeadLayout layout = new HeadLayout(HEADS, HEADS, 128, 128);
    QueryBlock queries = queries(layout, TOKENS);
    KeyValueBlock keys = keyValues(layout, TOKENS);
    AttentionState state = state(layout, TOKENS);
    return median(() -> fold(queries, keys, VisibleKeys.all(), state));
  }

  /** The facts that the times of the shapes say, each solved for what it has more than others. */
  static ClusterFacts facts(double[] seconds, int threads, ClusterFacts others) {
    double[] cpu = Arrays.stream(seconds).map(wall -> wall * threads).toArray();
    double scores = (double) HEADS * TOKENS * padded(TOKENS);
    double outputs = (double) HEADS * TOKENS * 64;
    double leaf = Math.max(0, (cpu[SHORT] - cpu[WIDE]) / ((SHORT_BLOCKS - 1) * outputs));
    double wide = (cpu[WIDE] - leaf * outputs) / scores;
    double wider = (cpu[WIDER] - 2 * leaf * outputs) / scores;
    // A score takes 256 FLOPs at headDim 64, and 256 more at 128.
    double multiplyAdds = Math.min(wider - wide, wider / 2);
    double score = wider - 2 * multiplyAdds;
    double[] windowed = windowScores();
    double masked =
        (cpu[WINDOWED] - leaf * outputs - HEADS * windowed[0] * (multiplyAdds + score))
            / (HEADS * windowed[1]);
    double row = (cpu[NEW_STATE] - cpu[FEW]) / outputs;
    double streamed = 4.0 * STREAMED_BLOCKS * TOKENS * HEADS * 128;
    return others
        .with(Fact.MULTIPLY_ADDS, 256e-9 / multiplyAdds)
        .with(Fact.SCORE, score * 1e9)
        .with(Fact.MASKED_SCORE, Math.max(0, masked) * 1e9)
        .with(Fact.LEAF, leaf * 1e9)
        .with(Fact.ROW, Math.max(0, row) * 1e9)
        .with(Fact.STREAM, streamed / cpu[ONE_QUERY] * 1e-9);
  }

  private static double padded(int rows) {
    return Math.ceil((double) rows / WorkProfile.STRIP) * WorkProfile.STRIP;
  }

  /** Keys row − WINDOW + 1 … row of each row. */
  private static VisibleKeys window() {
    int[] from = new int[TOKENS];
    int[] to = new int[TOKENS];
    Arrays.setAll(from, row -> Math.max(0, row - WINDOW + 1));
    Arrays.setAll(to, row -> row + 1);
    return VisibleKeys.ofIntervals(from, to);
  }

  /** Of the window the scores of one head that are computed, and those of them that are masked. */
  private static double[] windowScores() {
    double[] scores = new double[2];
    int size = WorkProfile.STRIP * WorkProfile.PANEL;
    for (int row = 0; row < TOKENS; row += WorkProfile.STRIP) {
      int last = Math.min(row + WorkProfile.STRIP, TOKENS) - 1;
      int firstSeen = Math.max(0, row - WINDOW + 1);
      int firstOfAll = Math.max(0, last - WINDOW + 1);
      for (int key = firstSeen / WorkProfile.PANEL * WorkProfile.PANEL;
          key <= last;
          key += WorkProfile.PANEL) {
        scores[0] += size;
        boolean whole = key >= firstOfAll && key + WorkProfile.PANEL - 1 <= row;
        scores[1] += whole ? 0 : size;
      }
    }
    return scores;
  }

  private void fold(
      QueryBlock queries, KeyValueBlock keys, VisibleKeys visible, AttentionState state) {
    kernel.fold(queries, keys, visible, ScoreTransform.NONE, state, threads);
  }

  /** Seconds of the middle one of the rounds, after some that do not count. */
  private double median(Runnable fold) {
    rounds(fold, WARM_UP_SECONDS);
    double[] seconds = rounds(fold, SECONDS);
    Arrays.sort(seconds);
    return seconds[seconds.length / 2];
  }

  private static double[] rounds(Runnable fold, double atLeast) {
    double[] seconds = new double[16];
    int rounds = 0;
    double sum = 0;
    while (rounds < LEAST_ROUNDS || sum < atLeast) {
      long start = System.nanoTime();
      fold.run();
      if (rounds == seconds.length) {
        seconds = Arrays.copyOf(seconds, 2 * rounds);
      }
      seconds[rounds] = (System.nanoTime() - start) * 1e-9;
      sum += seconds[rounds++];
    }
    return Arrays.copyOf(seconds, rounds);
  }

  static AttentionState state(HeadLayout layout, int rows) {
    return new AttentionState(layout.numHeads(), rows, layout.valueDim());
  }

  /** A state with numbers in it. */
  static AttentionState filledState(HeadLayout layout, int rows) {
    KernelTimes times = new KernelTimes(1);
    AttentionState state = state(layout, rows);
    times.fold(
        queries(layout, rows), keyValues(layout, FEW_KEYS), VisibleKeys.all(), state);
    return state;
  }

  private static void finish(AttentionState state) {
    float[] output = new float[state.valueDim()];
    for (int head = 0; head < state.heads(); head++) {
      for (int row = 0; row < state.rows(); row++) {
        state.finish(head, row, output, 0);
      }
    }
  }

  private static QueryBlock queries(HeadLayout layout, int rows) {
    float[] values = values(layout.keyDim());
    QueryBlock.Packer packer =
        new QueryBlock.Packer(layout, rows, 1 / Math.sqrt(layout.keyDim()));
    for (int head = 0; head < layout.numHeads(); head++) {
      for (int row = 0; row < rows; row++) {
        packer.put(head, row, values, offset(head, row));
      }
    }
    return packer.pack();
  }

  static KeyValueBlock keyValues(HeadLayout layout, int rows) {
    float[] values = values(Math.max(layout.keyDim(), layout.valueDim()));
    KeyValueBlock.Packer packer = new KeyValueBlock.Packer(layout, rows);
    for (int head = 0; head < layout.numKeyValueHeads(); head++) {
      for (int row = 0; row < rows; row++) {
        packer.putKey(head, row, values, offset(head, 3 * row + 1));
        packer.putValue(head, row, values, offset(head, 5 * row + 2));
      }
    }
    return packer.pack();
  }

  /** Where a row begins: drawing each number anew would take longer than the folds. */
  private static int offset(int head, int row) {
    return (head * 7919 + row * 31) % DRAWN;
  }

  private static final int DRAWN = 10_007;

  private static float[] values(int columns) {
    Random random = new Random(SEED);
    float[] values = new float[DRAWN + columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}

package io.sparkattention.kernels.benchmark;

import static io.sparkattention.kernels.benchmark.TextTable.number;

import io.sparkattention.kernels.AttentionKernels;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Looks for cliffs: shapes that are slower than their neighbours in tokens or in headDim let
 * expect. Expected is the speed on the straight line between the two neighbours, with sizes and
 * speeds as logarithms.
 */
final class CliffTable {
  private static final int[] TOKENS = {
    1, 2, 3, 5, 8, 13, 16, 17, 31, 32, 33, 64, 65, 100, 127, 128, 129, 200, 256, 257, 384, 500, 511,
    512
  };
  private static final int[] HEAD_DIMS = {
    1, 2, 3, 4, 7, 8, 15, 16, 17, 24, 31, 32, 33, 40, 48, 63, 64, 65, 72, 80, 96, 100, 112, 127,
    128, 129, 144, 160, 192, 200, 224, 255, 256
  };

  /** As many heads as make a run long enough to time, within some memory. */
  private static final double FLOPS = 5e7;

  private static final int MAX_HEADS = 1024;
  private static final int MAX_FLOATS = 1 << 18;

  private static final double LEAST_NANOS = 2e6;
  private static final int SAMPLES = 5;

  /** The bound for what is a cliff. */
  private static final double CLIFF = 0.5;

  /** Shapes below this are measured again, and the faster time counts: it may have been noise. */
  private static final double SUSPECT = 0.7;

  private static final int WORST = 12;

  /** A shape's speed over the one that its neighbours along one axis let expect. */
  private record Factor(int tokens, int headDim, String along, double gflops, double factor) {}

  /** [TOKENS, HEAD_DIMS] in GFLOP/s. */
  private final double[][] gflops = new double[TOKENS.length][HEAD_DIMS.length];

  private final Mask mask;

  private CliffTable(Mask mask) {
    this.mask = mask;
  }

  /** The shapes that stay furthest behind their neighbours, as text. */
  static String measure(Mask mask) {
    CliffTable grid = new CliffTable(mask);
    // Other shapes take other paths, which the compiler meets here for the first time.
    grid.sweep(1);
    grid.sweep(SAMPLES);
    for (Factor suspect : grid.factors()) {
      if (suspect.factor < SUSPECT) {
        grid.measureAgain(suspect);
      }
    }
    return grid.describe();
  }

  private void sweep(int samples) {
    for (int t = 0; t < TOKENS.length; t++) {
      for (int d = 0; d < HEAD_DIMS.length; d++) {
        gflops[t][d] = speed(TOKENS[t], HEAD_DIMS[d], samples);
      }
    }
  }

  private void measureAgain(Factor suspect) {
    int t = indexOf(TOKENS, suspect.tokens);
    int d = indexOf(HEAD_DIMS, suspect.headDim);
    gflops[t][d] = Math.max(gflops[t][d], speed(suspect.tokens, suspect.headDim, SAMPLES));
  }

  private double speed(int tokens, int headDim, int samples) {
    double flopsPerHead = Shape.of(tokens, headDim, mask).flops();
    int affordable = Math.min(MAX_HEADS, Math.max(1, MAX_FLOATS / (tokens * headDim)));
    int heads = (int) Math.max(1, Math.min(affordable, FLOPS / flopsPerHead));
    Shape shape = Shape.of(heads, heads, tokens, headDim, mask);
    KernelContestant contestant =
        new KernelContestant(AttentionKernels.auto().kernel(), shape.draw(), mask);
    contestant.run();
    double[] seconds = new double[samples];
    for (int i = 0; i < samples; i++) {
      long start = Clock.THREAD.nanos();
      long nanos;
      int runs = 0;
      do {
        contestant.run();
        runs++;
        nanos = Clock.THREAD.nanos() - start;
      } while (nanos < LEAST_NANOS);
      seconds[i] = nanos * 1e-9 / runs;
    }
    return shape.flops() * 1e-9 / Rounds.median(seconds);
  }

  /** Of all shapes that have neighbours on both sides, along either axis. */
  private List<Factor> factors() {
    List<Factor> factors = new ArrayList<>();
    for (int t = 0; t < TOKENS.length; t++) {
      for (int d = 0; d < HEAD_DIMS.length; d++) {
        double speed = gflops[t][d];
        if (t > 0 && t < TOKENS.length - 1) {
          double expected = between(TOKENS, t, gflops[t - 1][d], gflops[t + 1][d]);
          factors.add(new Factor(TOKENS[t], HEAD_DIMS[d], "tokens", speed, speed / expected));
        }
        if (d > 0 && d < HEAD_DIMS.length - 1) {
          double expected = between(HEAD_DIMS, d, gflops[t][d - 1], gflops[t][d + 1]);
          factors.add(new Factor(TOKENS[t], HEAD_DIMS[d], "headDim", speed, speed / expected));
        }
      }
    }
    factors.sort(Comparator.comparingDouble(Factor::factor));
    return factors;
  }

  private static double between(int[] sizes, int i, double before, double after) {
    double x =
        Math.log((double) sizes[i] / sizes[i - 1]) / Math.log((double) sizes[i + 1] / sizes[i - 1]);
    return Math.exp(Math.log(before) * (1 - x) + Math.log(after) * x);
  }

  private static int indexOf(int[] sizes, int size) {
    int i = 0;
    while (sizes[i] != size) {
      i++;
    }
    return i;
  }

  private String describe() {
    List<Factor> factors = factors();
    long cliffs = factors.stream().filter(f -> f.factor < CLIFF).count();
    TextTable table = new TextTable(1, "along", "tokens", "headDim", "GFLOP/s", "of expected");
    for (Factor f : factors.subList(0, WORST)) {
      table.row(
          f.along,
          Integer.toString(f.tokens),
          Integer.toString(f.headDim),
          number(f.gflops, 2),
          number(f.factor, 2));
    }
    return "%s: %d shapes, %d below %.1f of what their neighbours let expect; the worst:%n%s"
        .formatted(mask.name(), TOKENS.length * HEAD_DIMS.length, cliffs, CLIFF, table);
  }
}

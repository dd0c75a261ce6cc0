package io.sparkattention.kernels.benchmark;

import static io.sparkattention.kernels.benchmark.TextTable.number;

import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.ElementType;
import java.util.List;

/**
 * What a second thread gives, by wall time, beside what it gives to the multiply-add peak: two
 * cores that share a clock, a cache or a physical core scale less than two times themselves.
 */
final class ThreadTable {
  private static final int THREADS = 2;
  private static final double PEAK_SECONDS = 0.05;

  private final Report report;
  private final TextTable table =
      new TextTable(
          1,
          "mask",
          "n",
          "headDim",
          "1 thread",
          "2 threads",
          "times",
          "peak, 1",
          "peak, 2",
          "times",
          "ratio");

  ThreadTable(Report report) {
    this.report = report;
  }

  void measure(Shape shape, int rounds) {
    AttentionCase c = shape.draw();
    Contestant one = contestant(shape, c, 1);
    Contestant two = contestant(shape, c, THREADS);
    double[] alone = new double[rounds];
    double[] shared = new double[rounds];
    double[] peakAlone = new double[rounds];
    double[] peakShared = new double[rounds];
    double[] ratios = new double[rounds];
    for (int round = -1; round < rounds; round++) {
      double[] found = {
        AttentionKernels.measurePeak(PEAK_SECONDS, 1),
        THREADS * AttentionKernels.measurePeak(PEAK_SECONDS, THREADS),
        gflops(one, shape),
        gflops(two, shape)
      };
      if (round >= 0) {
        peakAlone[round] = found[0];
        peakShared[round] = found[1];
        alone[round] = found[2];
        shared[round] = found[3];
        ratios[round] = found[3] / found[2] / (found[1] / found[0]);
      }
    }
    addRow(shape, List.of(alone, shared, peakAlone, peakShared, ratios));
  }

  private static Contestant contestant(Shape shape, AttentionCase c, int threads) {
    return new KernelContestant(
        AttentionKernels.auto().kernel(), c, shape.mask(), ElementType.F32, threads);
  }

  private static double gflops(Contestant contestant, Shape shape) {
    long start = Clock.WALL.nanos();
    contestant.run();
    return shape.flops() / (Clock.WALL.nanos() - start);
  }

  private void addRow(Shape shape, List<double[]> measured) {
    double[] medians = measured.stream().mapToDouble(Rounds::median).toArray();
    table.row(
        shape.mask().name(),
        Integer.toString(shape.queries()),
        Integer.toString(shape.layout().keyDim()),
        number(medians[0], 1),
        number(medians[1], 1),
        number(medians[1] / medians[0], 2),
        number(medians[2], 1),
        number(medians[3], 1),
        number(medians[3] / medians[2], 2),
        number(medians[4], 3));
    report.summarize(shape, THREADS, medians[1], medians[1] / medians[3], Double.NaN, Double.NaN);
  }

  @Override
  public String toString() {
    return table.toString();
  }
}

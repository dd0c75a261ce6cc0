package io.sparkattention.kernels.benchmark;

import java.util.Arrays;

/**
 * What the rounds of one measurement gave. Ratios are taken within each round, then their median.
 *
 * @param peaks [rounds] the core's peak, GFLOP/s
 * @param seconds [contestants, rounds] for doing the work once
 * @param counted [contestants] seconds of all rounds together
 * @param process [contestants] CPU seconds of the whole process in the same time
 */
@SuppressWarnings("ArrayRecordComponent")
record Rounds(double[] peaks, double[][] seconds, double[] counted, double[] process) {
  double peak() {
    return median(peaks);
  }

  double seconds(int contestant) {
    return median(seconds[contestant]);
  }

  double gflops(int contestant, double flops) {
    return flops * 1e-9 / seconds(contestant);
  }

  /** Speed of a contestant over the peak of the same round. */
  double peakShare(int contestant, double flops) {
    double[] shares = new double[peaks.length];
    Arrays.setAll(shares, r -> flops * 1e-9 / seconds[contestant][r] / peaks[r]);
    return median(shares);
  }

  /** How many times as fast {@code contestant} is as {@code other}, [rounds]. */
  double[] speedups(int contestant, int other) {
    double[] ratios = new double[peaks.length];
    Arrays.setAll(ratios, r -> seconds[other][r] / seconds[contestant][r]);
    return ratios;
  }

  static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int half = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }
}

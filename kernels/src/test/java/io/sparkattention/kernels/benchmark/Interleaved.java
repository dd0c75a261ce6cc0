package io.sparkattention.kernels.benchmark;

import io.sparkattention.kernels.AttentionKernels;
import java.util.List;

/**
 * Measures contestants round by round: each round takes the core's multiply-add peak and then every
 * contestant once, one after another, so that all of them meet the same clock rate and the same
 * neighbours.
 */
final class Interleaved {
  private static final double PEAK_SECONDS = 0.03;

  /** A contestant works at least that long in a round: shorter ones repeat. */
  private static final double LEAST_SECONDS = 0.03;

  /** The first contestant, which is Java code, is compiled for its shape by then. */
  private static final double WARM_UP_SECONDS = 0.5;

  private Interleaved() {}

  /** One thread each, by the CPU time of that thread. */
  static Rounds measure(List<Contestant> contestants, int rounds) {
    return measure(contestants, rounds, Clock.THREAD);
  }

  static Rounds measure(List<Contestant> contestants, int rounds, Clock clock) {
    int[] repeats =
        contestants.stream().mapToInt(c -> warmUp(c, c == contestants.get(0))).toArray();
    double[] peaks = new double[rounds];
    double[][] seconds = new double[contestants.size()][rounds];
    double[] counted = new double[contestants.size()];
    double[] process = new double[contestants.size()];
    for (int round = 0; round < rounds; round++) {
      peaks[round] = AttentionKernels.measurePeak(PEAK_SECONDS, 1);
      for (int i = 0; i < repeats.length; i++) {
        Contestant contestant = contestants.get(i);
        long processStart = Clock.PROCESS.nanos();
        long start = clock.nanos();
        for (int r = 0; r < repeats[i]; r++) {
          contestant.run();
        }
        long nanos = clock.nanos() - start;
        process[i] += (Clock.PROCESS.nanos() - processStart) * 1e-9;
        counted[i] += nanos * 1e-9;
        seconds[i][round] = nanos * 1e-9 / repeats[i];
      }
    }
    return new Rounds(peaks, seconds, counted, process);
  }

  /** Runs the contestant untimed; returns how often a round repeats it. */
  private static int warmUp(Contestant contestant, boolean compiles) {
    long begin = Clock.WALL.nanos();
    double fastest = Double.POSITIVE_INFINITY;
    do {
      long start = Clock.WALL.nanos();
      contestant.run();
      fastest = Math.min(fastest, (Clock.WALL.nanos() - start) * 1e-9);
    } while ((Clock.WALL.nanos() - begin) * 1e-9 < (compiles ? WARM_UP_SECONDS : LEAST_SECONDS));
    return (int) Math.max(1, Math.ceil(LEAST_SECONDS / fastest));
  }
}

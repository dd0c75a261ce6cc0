package io.sparkattention.partitioning;

/**
 * What a simulation says of a run; nothing in it was measured.
 *
 * @param seconds until the last rank is done
 * @param computeSeconds mean over the ranks; what a ring repeats is in it
 * @param waitSeconds mean over the ranks: for shards that arrive after the fold before them, or
 *     outside a ring for all that is sent
 * @param bytesIn mean over the ranks: what came from others
 */
public record SimulatedRun(
    double seconds, double computeSeconds, double waitSeconds, double bytesIn) {

  /** The same run, so much longer. */
  SimulatedRun later(double more) {
    return new SimulatedRun(seconds + more, computeSeconds, waitSeconds, bytesIn);
  }
}

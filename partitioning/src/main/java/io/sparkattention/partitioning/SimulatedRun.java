package io.sparkattention.partitioning;

/**
 * What a simulation says of a run; nothing in it was measured.
 *
 * @param seconds until the last rank is done
 * @param computeSeconds mean over the ranks
 * @param waitSeconds mean over the ranks: for shards that arrive after the fold before them
 * @param bytesIn mean over the ranks: what came from others
 */
public record SimulatedRun(
    double seconds, double computeSeconds, double waitSeconds, double bytesIn) {}

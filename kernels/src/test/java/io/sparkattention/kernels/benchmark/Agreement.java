package io.sparkattention.kernels.benchmark;

import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.AttentionKernel;
import java.util.List;

/** Makes sure that all contestants compute the same thing before they are timed. */
final class Agreement {
  private Agreement() {}

  /**
   * Compares the first contestant, which is ours, with the others.
   *
   * @return the largest difference
   * @throws IllegalStateException if one exceeds the sum of both sides' float32 bounds
   */
  static double check(AttentionCase c, List<Contestant> contestants) {
    double bound =
        (c.relativeBound(AttentionKernel.INNER_KEYS) + c.relativeBound(c.keys)) * c.maxValue();
    float[] expected = contestants.get(0).output();
    double largest = 0;
    for (Contestant peer : contestants.subList(1, contestants.size())) {
      double difference = difference(expected, peer.output());
      if (!(difference <= bound)) {
        throw new IllegalStateException(
            "Cannot compare with %s: its output differs by %.1e (expected at most %.1e)"
                .formatted(peer.name(), difference, bound));
      }
      largest = Math.max(largest, difference);
    }
    return largest;
  }

  /** NaN if one of them holds a NaN. */
  private static double difference(float[] a, float[] b) {
    if (a.length != b.length) {
      throw new IllegalStateException(
          "Cannot compare %d and %d floats".formatted(a.length, b.length));
    }
    double largest = 0;
    for (int i = 0; i < a.length; i++) {
      largest = Math.max(largest, Math.abs((double) a[i] - b[i]));
    }
    return largest;
  }
}

package io.sparkattention.kernels.benchmark;

import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.VisibleKeys;

/**
 * Query i sees keys i − {@code left} to i + {@code right}, positions of both counted from 0: enough
 * for every mask that is measured.
 */
record Mask(String name, int left, int right) {
  private static final int FAR = 1 << 29;

  static final Mask FULL = new Mask("full", FAR, FAR);
  static final Mask CAUSAL = new Mask("causal", FAR, 0);

  /** Each query sees itself and the {@code left} keys before. */
  static Mask slidingWindow(int left) {
    return new Mask("sliding-window:" + left, left, 0);
  }

  /** Whether some query of [queryStart, queryEnd) sees some key of [start, end). */
  boolean touches(int queryStart, int queryEnd, int start, int end) {
    return queryStart - left < end && queryEnd - 1 + right >= start;
  }

  VisibleKeys visible(int queryStart, int queryEnd, int start, int end) {
    boolean all = queryEnd - 1 - left <= start && queryStart + right >= end - 1;
    return all
        ? VisibleKeys.all()
        : AttentionCase.band(queryStart, queryEnd, start, end, 0, left, right);
  }

  /** Pairs of a query and a key that it sees. */
  long pairs(int queries, int keys) {
    long pairs = 0;
    for (int i = 0; i < queries; i++) {
      pairs += Math.max(0, Math.min((long) i + right + 1, keys) - Math.max(i - left, 0));
    }
    return pairs;
  }
}

package io.sparkattention.kernels;

import java.util.Arrays;

/**
 * For each query row of a pair of blocks the half-open interval {@code [from[row], to[row])} of key
 * rows that it sees. An empty interval has {@code from == to}. Several disjoint intervals are
 * several passes, merged by the {@link AttentionState}.
 *
 * @param from [rows]; not copied
 * @param to [rows]; not copied
 */
public record VisibleKeys(int[] from, int[] to) {
  /** Every one of {@code rows} queries sees all {@code keys}. */
  public static VisibleKeys all(int rows, int keys) {
    int[] to = new int[rows];
    Arrays.fill(to, keys);
    return new VisibleKeys(new int[rows], to);
  }
}

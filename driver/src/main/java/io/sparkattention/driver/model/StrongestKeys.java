package io.sparkattention.driver.model;

import java.io.Serializable;

/**
 * For each row the few keys with the largest scores; of equal scores the earlier key. Which ones
 * remain does not depend on the order in which keys are offered.
 */
final class StrongestKeys implements Serializable {
  private static final long serialVersionUID = 1L;

  private final int limit;

  /** [rows, limit], the strongest first. */
  private final float[] scores;

  private final int[] keys;

  /** [rows]: how many there are so far. */
  private final int[] counts;

  /**
   * @param limit keys that a row keeps at most, from 1
   */
  StrongestKeys(int rows, int limit) {
    this.limit = limit;
    this.scores = new float[Math.multiplyExact(rows, limit)];
    this.keys = new int[scores.length];
    this.counts = new int[rows];
  }

  /** Shows a key to a row, once. */
  void offer(int row, int key, float score) {
    int first = row * limit;
    int count = counts[row];
    if (count == limit && !precedes(score, key, first + count - 1)) {
      return;
    }
    int at = first + Math.min(count, limit - 1);
    while (at > first && precedes(score, key, at - 1)) {
      scores[at] = scores[at - 1];
      keys[at] = keys[at - 1];
      at--;
    }
    scores[at] = score;
    keys[at] = key;
    counts[row] = Math.min(count + 1, limit);
  }

  private boolean precedes(float score, int key, int at) {
    return score > scores[at] || (score == scores[at] && key < keys[at]);
  }

  /** Adds what others kept of other keys, for the same rows. */
  void merge(StrongestKeys other) {
    for (int row = 0; row < counts.length; row++) {
      for (int rank = 0; rank < other.counts[row]; rank++) {
        offer(row, other.key(row, rank), other.score(row, rank));
      }
    }
  }

  int count(int row) {
    return counts[row];
  }

  /** The key at a rank, counted from 0. */
  int key(int row, int rank) {
    return keys[row * limit + rank];
  }

  /** The score of the key at a rank. */
  float score(int row, int rank) {
    return scores[row * limit + rank];
  }
}

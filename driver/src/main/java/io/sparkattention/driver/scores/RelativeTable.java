package io.sparkattention.driver.scores;

import io.sparkattention.kernels.ScoreBias;
import io.sparkattention.partitioning.Block;

/**
 * A relative bias for one pair of blocks: a value per head and distance, so that a row is copied.
 */
final class RelativeTable implements ScoreBias {
  /** Of the first query row, the index of the first key's distance. */
  private final int origin;

  private final int distances;

  /** [heads, queryTokens + keyTokens − 1], by growing distance. */
  private final float[] table;

  RelativeTable(RelativeBias bias, int heads, Block queries, Block keys, long offset) {
    this.origin = queries.tokens() - 1;
    this.distances = queries.tokens() + keys.tokens() - 1;
    this.table = new float[Math.multiplyExact(heads, distances)];
    long least = keys.start() - (queries.start() + offset) - origin;
    for (int head = 0; head < heads; head++) {
      for (int i = 0; i < distances; i++) {
        int row = Math.max(0, origin - i);
        table[head * distances + i] = Scores.usable(bias.of(head, least + i), head, row);
      }
    }
  }

  @Override
  public void row(int head, int row, int key, int count, float[] target) {
    System.arraycopy(table, head * distances + origin - row + key, target, 0, count);
  }
}

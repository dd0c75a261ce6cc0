package io.sparkattention.kernels;

/**
 * What is added to the scores of a pair of blocks after the softcap: a bias tensor, or a function
 * of positions. For queries that share their biases one object may be asked from several threads.
 */
@FunctionalInterface
public interface ScoreBias {
  /**
   * Writes the biases of one query. It may be asked for keys that the query does not see.
   *
   * @param head the query head
   * @param row the query's row in its block
   * @param key the first key's row in its block
   * @param count keys, at least 1
   * @param target receives the biases from index 0 on, in the unit of the natural exponent; −∞
   *     masks a key, NaN and +∞ are not allowed
   */
  void row(int head, int row, int key, int count, float[] target);
}

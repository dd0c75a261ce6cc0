package io.sparkattention.driver.scores;

import java.io.Serializable;

/**
 * A function of head and positions that is added to the scores, after the scale and the softcap and
 * before the mask. It travels with the tasks, which ask it for each pair of tokens in blocks that
 * the mask leaves, from several threads at once and in any order; for the same arguments it must
 * give the same value.
 */
@FunctionalInterface
public interface PositionBias extends Serializable {
  /**
   * The bias of a pair; it may be asked for pairs that the mask removes.
   *
   * @param head the query head
   * @param query the query's position among the keys: that in its sequence plus the offset of the
   *     causal alignment, as masks see it
   * @param key the key's position
   * @return in the unit of the natural exponent; −∞, and any number below −2^20, masks the key; NaN
   *     and +∞ end the run
   */
  float of(int head, long query, long key);
}

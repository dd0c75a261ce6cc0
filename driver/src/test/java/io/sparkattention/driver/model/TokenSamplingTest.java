package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class TokenSamplingTest {
  private static final int DRAWS = 20_000;
  private static final int ALL = Integer.MAX_VALUE;

  /** Probabilities 0.5, 0.3, 0.15 and 0.05 at temperature 1. */
  private static final float[] LOGITS = {log(0.15), log(0.5), log(0.05), log(0.3)};

  private static float log(double probability) {
    return (float) Math.log(probability);
  }

  /** [ids]: how often each was drawn, at positions from 0. */
  private static double[] shares(TokenSampling sampling) {
    double[] shares = new double[LOGITS.length];
    for (int position = 0; position < DRAWS; position++) {
      shares[sampling.next(LOGITS, position)] += 1.0 / DRAWS;
    }
    return shares;
  }

  /** Within five standard deviations of a share, at most √(1/4 / draws). */
  private static void assertShares(double[] found, double... expected) {
    double tolerance = 5 * 0.5 / Math.sqrt(DRAWS);
    for (int id = 0; id < expected.length; id++) {
      assertThat(Math.abs(found[id] - expected[id])).as("token %d", id).isLessThan(tolerance);
    }
  }

  @Test
  void greedyTakesTheMostLikelyAndOfEqualOnesTheFirst() {
    assertThat(TokenSampling.GREEDY.next(LOGITS, 7)).isEqualTo(1);
    assertThat(TokenSampling.GREEDY.next(new float[] {1, 3, 3}, 7)).isEqualTo(1);
  }

  @Test
  void drawsByProbability() {
    assertShares(shares(new TokenSampling(1, 1, ALL, 1)), 0.15, 0.5, 0.05, 0.3);
  }

  /** Squares of the probabilities, to a sum of 1. */
  @Test
  void aLowTemperatureSharpens() {
    double sum = 0.0225 + 0.25 + 0.0025 + 0.09;
    assertShares(
        shares(new TokenSampling(2, 0.5, ALL, 1)),
        0.0225 / sum,
        0.25 / sum,
        0.0025 / sum,
        0.09 / sum);
  }

  @Test
  void topKAndTopPLeaveTheMostLikely() {
    assertShares(shares(new TokenSampling(3, 1, 2, 1)), 0, 0.625, 0, 0.375);
    assertShares(shares(new TokenSampling(4, 1, ALL, 0.9)), 0.15 / 0.95, 0.5 / 0.95, 0, 0.3 / 0.95);
    assertShares(shares(new TokenSampling(5, 1, ALL, 0.4)), 0, 1, 0, 0);
  }

  @Test
  void aDrawDependsOnSeedAndPosition() {
    TokenSampling sampling = new TokenSampling(6, 1, ALL, 1);
    for (int position = 0; position < 50; position++) {
      assertThat(sampling.next(LOGITS, position))
          .isEqualTo(new TokenSampling(6, 1, ALL, 1).next(LOGITS, position));
    }
    assertThat(shares(new TokenSampling(6, 1, ALL, 1)))
        .isNotEqualTo(shares(new TokenSampling(7, 1, ALL, 1)));
  }

  @Test
  void refusesWhatIsNoSampling() {
    assertThatThrownBy(() -> new TokenSampling(0, -1, 1, 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new TokenSampling(0, 1, 0, 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new TokenSampling(0, 1, 1, 0))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new TokenSampling(0, Double.NaN, 1, 1))
        .isInstanceOf(IllegalArgumentException.class);
  }
}

package io.sparkattention.driver.model;

import java.util.Arrays;
import java.util.Comparator;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Chooses the next token from its logits: the most likely one at temperature 0, else one drawn from
 * softmax(logits / temperature) among the {@code topK} most likely ones (Fan et al. 2018), of these
 * the fewest that together have probability {@code topP} (nucleus sampling, Holtzman et al. 2020).
 * What is drawn is a function of seed, position and logits: the same whether the text before was
 * computed now or cached.
 *
 * @param seed of the draws
 * @param temperature 0 or more; 0 is greedy
 * @param topK at least 1
 * @param topP above 0, at most 1
 */
public record TokenSampling(long seed, double temperature, int topK, double topP) {
  /** The most likely token, always. */
  public static final TokenSampling GREEDY = new TokenSampling(0, 0, Integer.MAX_VALUE, 1);

  /** Odd, so that positions have streams of their own (Steele et al. 2014, the golden gamma). */
  private static final long POSITION_GAMMA = 0x9E3779B97F4A7C15L;

  public TokenSampling {
    if (!(temperature >= 0) || topK < 1 || !(topP > 0 && topP <= 1)) {
      throw new IllegalArgumentException(
          "Invalid sampling: temperature %s, top-k %d, top-p %s"
              .formatted(temperature, topK, topP));
    }
  }

  /**
   * The next token.
   *
   * @param logits [vocabulary]
   * @param position where the token will stand
   */
  public int next(float[] logits, long position) {
    if (temperature == 0) {
      return mostLikely(logits);
    }
    int[] candidates = byLikelihood(logits);
    double[] weights = new double[candidates.length];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = Math.exp((logits[candidates[i]] - logits[candidates[0]]) / temperature);
    }
    int count = nucleus(weights);
    double drawn =
        new SplittableRandom(seed + position * POSITION_GAMMA).nextDouble()
            * Arrays.stream(weights, 0, count).sum();
    for (int i = 0; i < count; i++) {
      drawn -= weights[i];
      if (drawn < 0) {
        return candidates[i];
      }
    }
    return candidates[count - 1];
  }

  /** Of equal ones the first. */
  private static int mostLikely(float[] logits) {
    int best = 0;
    for (int id = 1; id < logits.length; id++) {
      if (logits[id] > logits[best]) {
        best = id;
      }
    }
    return best;
  }

  private int[] byLikelihood(float[] logits) {
    return IntStream.range(0, logits.length)
        .boxed()
        .sorted(Comparator.comparing((Integer id) -> logits[id]).reversed())
        .limit(topK)
        .mapToInt(Integer::intValue)
        .toArray();
  }

  /** How many of the weights, largest first, reach the share topP of their sum. */
  private int nucleus(double[] weights) {
    double enough = topP * Arrays.stream(weights).sum();
    double sum = 0;
    for (int i = 0; i < weights.length; i++) {
      sum += weights[i];
      if (sum >= enough) {
        return i + 1;
      }
    }
    return weights.length;
  }
}

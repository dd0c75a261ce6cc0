package io.sparkattention.kernels;

import java.util.List;

/**
 * What becomes of the scores of a pair of blocks between QKᵀ and the softmax, and of its weights
 * behind it: {@code softcap · tanh(s / softcap)}, then the biases, in order, then the mask, then
 * dropout. Immutable.
 *
 * @param softcap positive; 0: none
 * @param biases added after the softcap
 */
public record ScoreTransform(float softcap, List<ScoreBias> biases, Dropout dropout) {
  /** Scores and weights stay as they are; costs nothing. */
  public static final ScoreTransform NONE = new ScoreTransform(0, List.of(), Dropout.NONE);

  public ScoreTransform {
    if (!(softcap >= 0 && softcap <= Float.MAX_VALUE)) {
      throw new IllegalArgumentException(
          "Invalid softcap: %s (expected a positive number, or 0 for none)".formatted(softcap));
    }
    biases = List.copyOf(biases);
  }

  /** Whether a score may become another one. */
  boolean changesScores() {
    return softcap > 0 || !biases.isEmpty();
  }
}

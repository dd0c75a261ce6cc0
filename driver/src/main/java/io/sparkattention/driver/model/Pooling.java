package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** How the states of a document's tokens, special ones included, become one embedding. */
public enum Pooling {
  /** They stay as they are. */
  NONE,
  /** Their mean (Reimers and Gurevych 2019, arXiv:1908.10084). */
  MEAN,
  /** The first token's: [CLS]. */
  CLS,
  /** The largest of each component. */
  MAX;

  /** Reads the option's value, {@code none}, {@code mean}, {@code cls} or {@code max}. */
  public static Pooling parse(String name) {
    return Arrays.stream(values())
        .filter(pooling -> pooling.name().toLowerCase(Locale.ROOT).equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new InvalidInputException(
                    "Invalid --pooling: found '%s', expected none, mean, cls or max"
                        .formatted(name)));
  }

  /**
   * What a piece gives to its document's embedding, [hidden]: a sum, the first row or the largest.
   */
  double[] partial(EncodedPiece piece) {
    return partial(piece.states(), piece.ids().length, piece.hidden());
  }

  private double[] partial(float[] states, int tokens, int hidden) {
    double[] partial = new double[hidden];
    for (int i = 0; i < hidden; i++) {
      partial[i] = states[i];
    }
    int rows = this == CLS ? 1 : tokens;
    for (int row = 1; row < rows; row++) {
      for (int i = 0; i < hidden; i++) {
        double state = states[row * hidden + i];
        partial[i] = this == MAX ? Math.max(partial[i], state) : partial[i] + state;
      }
    }
    return partial;
  }

  /**
   * The embedding of a document in one piece.
   *
   * @param states [tokens, hidden]
   * @param tokens at least one
   */
  public float[] pool(float[] states, int tokens, int hidden) {
    return embedding(List.of(partial(states, tokens, hidden)), tokens);
  }

  /**
   * The embedding of a document.
   *
   * @param partials of all its pieces, in their order
   */
  float[] embedding(List<double[]> partials, long tokens) {
    double[] all = partials.get(0).clone();
    for (double[] partial : partials.subList(1, this == CLS ? 1 : partials.size())) {
      for (int i = 0; i < all.length; i++) {
        all[i] = this == MAX ? Math.max(all[i], partial[i]) : all[i] + partial[i];
      }
    }
    float[] embedding = new float[all.length];
    for (int i = 0; i < all.length; i++) {
      embedding[i] = (float) (this == MEAN ? all[i] / tokens : all[i]);
    }
    return embedding;
  }

  /** A vector divided by its Euclidean length; one of zeros stays. */
  public static float[] normalized(float[] vector) {
    float[] unit = vector.clone();
    normalize(unit, 0, unit.length);
    return unit;
  }

  /** Divides a row by its Euclidean length; a row of zeros stays. */
  static void normalize(float[] rows, int offset, int length) {
    double squares = 0;
    for (int i = offset; i < offset + length; i++) {
      squares += (double) rows[i] * rows[i];
    }
    double norm = squares == 0 ? 1 : Math.sqrt(squares);
    for (int i = offset; i < offset + length; i++) {
      rows[i] = (float) (rows[i] / norm);
    }
  }
}

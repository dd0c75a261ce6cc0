package io.sparkattention.driver.model;

/** How the hidden states of a text become one vector, [hidden]. */
public enum Pooling {
  /** The mean of all tokens, special ones included (Reimers and Gurevych 2019, Sentence-BERT). */
  MEAN,
  /** The first token's, which BERT puts before a text. */
  CLS,
  /** The maximum over all tokens, each number by itself. */
  MAX;

  /** What torch.nn.functional.normalize divides by at least. */
  private static final double SMALLEST_NORM = 1e-12;

  /**
   * Pools one text.
   *
   * @param states [tokens, hidden]
   * @param tokens at least one
   */
  public float[] pool(float[] states, int tokens, int hidden) {
    float[] pooled = new float[hidden];
    for (int i = 0; i < hidden; i++) {
      pooled[i] =
          switch (this) {
            case MEAN -> mean(states, tokens, hidden, i);
            case CLS -> states[i];
            case MAX -> max(states, tokens, hidden, i);
          };
    }
    return pooled;
  }

  private static float mean(float[] states, int tokens, int hidden, int i) {
    double sum = 0;
    for (int token = 0; token < tokens; token++) {
      sum += states[token * hidden + i];
    }
    return (float) (sum / tokens);
  }

  private static float max(float[] states, int tokens, int hidden, int i) {
    float max = states[i];
    for (int token = 1; token < tokens; token++) {
      max = Math.max(max, states[token * hidden + i]);
    }
    return max;
  }

  /** The vector divided by its L2 norm; one of zeros stays as it is. */
  public static float[] normalized(float[] vector) {
    double squares = 0;
    for (float number : vector) {
      squares = Math.fma((double) number, number, squares);
    }
    double norm = Math.max(Math.sqrt(squares), SMALLEST_NORM);
    float[] unit = new float[vector.length];
    for (int i = 0; i < unit.length; i++) {
      unit[i] = (float) (vector[i] / norm);
    }
    return unit;
  }
}

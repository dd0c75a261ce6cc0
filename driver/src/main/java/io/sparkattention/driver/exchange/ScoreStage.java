package io.sparkattention.driver.exchange;

/** Between QKᵀ and the weights: at which step scores are written out, by ONNX's numbers 0 to 3. */
public enum ScoreStage {
  /** QKᵀ · scale. */
  SCALED,
  SOFTCAPPED,
  /** With what is added to them, −∞ where the query does not see the key. */
  MASKED,
  /** The weights; 0 for a query that sees no key. */
  SOFTMAX;

  /**
   * Reads 0, 1, 2 or 3.
   *
   * @throws IllegalArgumentException for any other text
   */
  public static ScoreStage parse(String text) {
    for (ScoreStage stage : values()) {
      if (stage.toString().equals(text)) {
        return stage;
      }
    }
    throw new IllegalArgumentException("Invalid stage of the scores: '" + text + "'");
  }

  /** What there is of a key that is never read, being padding. */
  public float ofPadding() {
    return this == SOFTMAX ? 0 : Float.NEGATIVE_INFINITY;
  }

  /** The form that {@link #parse} accepts. */
  @Override
  public String toString() {
    return Integer.toString(ordinal());
  }
}

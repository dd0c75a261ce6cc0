package io.sparkattention.driver.scores;

/**
 * Attention with linear biases, −slope · |distance| (Press et al. 2022, arXiv:2108.12409), on both
 * sides of the query as FlashAttention's {@code alibi_slopes}.
 */
public final class AlibiBias implements RelativeBias {
  private static final long serialVersionUID = 1L;

  /** [heads]. */
  private final float[] slopes;

  /**
   * @param slopes [heads]
   */
  public AlibiBias(float[] slopes) {
    this.slopes = slopes.clone();
  }

  /**
   * The published slopes: for a power of two the geometric sequence from 2^(−8 / heads) with that
   * ratio; else those of the next lower power of two, then every second one of twice as many heads,
   * as the paper's code has it.
   */
  public static float[] publishedSlopes(int heads) {
    int power = Integer.highestOneBit(heads);
    float[] slopes = new float[heads];
    for (int head = 0; head < heads; head++) {
      slopes[head] =
          head < power
              ? slope(head, power)
              : slope(2 * (head - power), Math.multiplyExact(2, power));
    }
    return slopes;
  }

  private static float slope(int index, int heads) {
    // Not Math.pow, whose last bit may differ between JVMs.
    return (float) StrictMath.pow(2, -8.0 * (index + 1) / heads);
  }

  @Override
  public float of(int head, long distance) {
    return (float) (-slopes[head] * (double) Math.abs(distance));
  }
}

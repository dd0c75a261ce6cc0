package io.sparkattention.driver.model;

import java.io.Serializable;

/**
 * Rotary position embedding (Su et al. 2021, section 3.2.2): element i of the first half of a head
 * and element i of its second half are a point that turns by position · theta^(−2i / headDim), the
 * pairing of Hugging Face's Llama. A score then depends on the distance of its positions. Angles
 * are float64: those of far positions keep their accuracy.
 *
 * @param theta the base of the angles, 10000 in the paper
 */
record RotaryPositions(int headDim, double theta) implements Serializable {

  /**
   * Turns rows in place.
   *
   * @param rows [count, heads, headDim]
   * @param firstPosition of the first row; the others follow
   */
  void turn(float[] rows, int count, int heads, long firstPosition) {
    int half = headDim / 2;
    double[] cos = new double[half];
    double[] sin = new double[half];
    for (int row = 0; row < count; row++) {
      for (int i = 0; i < half; i++) {
        double angle = (firstPosition + row) * Math.pow(theta, -2.0 * i / headDim);
        cos[i] = Math.cos(angle);
        sin[i] = Math.sin(angle);
      }
      for (int head = 0; head < heads; head++) {
        int at = (row * heads + head) * headDim;
        for (int i = 0; i < half; i++) {
          double x = rows[at + i];
          double y = rows[at + half + i];
          rows[at + i] = (float) (x * cos[i] - y * sin[i]);
          rows[at + half + i] = (float) (y * cos[i] + x * sin[i]);
        }
      }
    }
  }
}

package io.sparkattention.driver.model;

import java.io.Serializable;

/**
 * Sinusoidal position embedding (Vaswani et al. 2017, section 3.5) in the layout of fairseq and of
 * Hugging Face's M2M100: the sines of all frequencies, then their cosines, with frequency i of n
 * equal to 10000^(−i / (n − 1)).
 *
 * @param hidden width of an embedding, even
 * @param first what the first position counts as
 */
record SinusoidalPositions(int hidden, int first) implements Serializable {

  /** Adds the embedding of a position to {@code rows[offset …]}. */
  void add(long position, float[] rows, int offset) {
    int half = hidden / 2;
    for (int i = 0; i < half; i++) {
      double angle = (first + position) * Math.pow(10_000, -(double) i / Math.max(1, half - 1));
      rows[offset + i] += (float) Math.sin(angle);
      rows[offset + half + i] += (float) Math.cos(angle);
    }
  }
}

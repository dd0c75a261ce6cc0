package io.sparkattention.kernels;

/**
 * Distances of a float32 output from the float64 one.
 *
 * @param max the largest; NaN if an element is
 * @param mean over all elements
 */
public record Errors(double max, double mean) {
  public static Errors of(float[] found, double[] expected) {
    double max = 0;
    double sum = 0;
    for (int i = 0; i < expected.length; i++) {
      double error = Math.abs(found[i] - expected[i]);
      max = Math.max(max, error);
      sum += error;
    }
    return new Errors(max, sum / expected.length);
  }
}

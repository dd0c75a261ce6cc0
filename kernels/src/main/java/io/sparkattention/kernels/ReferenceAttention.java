package io.sparkattention.kernels;

import java.util.Arrays;

/**
 * Attention as the formula says it, softmax(QKᵀ · scale) V in float64 (Vaswani et al. 2017,
 * arXiv:1706.03762, equation 1): the oracle of the tests. Time and memory O(queries · keys).
 */
public final class ReferenceAttention {
  /** Which key a query sees, both counted within the arrays. */
  @FunctionalInterface
  public interface Visible {
    boolean test(int query, int key);
  }

  /**
   * @param output [numHeads, queries, valueDim]
   * @param logSumExp [numHeads, queries]; −∞ for a query that sees no key
   * @param probabilities [numHeads, queries, keys]
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Result(double[] output, double[] logSumExp, double[] probabilities) {}

  private ReferenceAttention() {}

  /**
   * @param query [numHeads, queries, keyDim]
   * @param key [numKeyValueHeads, keys, keyDim]
   * @param value [numKeyValueHeads, keys, valueDim]
   */
  public static Result attend(
      HeadLayout layout, float[] query, float[] key, float[] value, double scale, Visible visible) {
    int queries = query.length / (layout.numHeads() * layout.keyDim());
    int keys = key.length / (layout.numKeyValueHeads() * layout.keyDim());
    double[] output = new double[layout.numHeads() * queries * layout.valueDim()];
    double[] logSumExp = new double[layout.numHeads() * queries];
    double[] probabilities = new double[layout.numHeads() * queries * keys];
    for (int h = 0; h < layout.numHeads(); h++) {
      int keyRow = layout.keyValueHead(h) * keys;
      for (int i = 0; i < queries; i++) {
        int queryRow = h * queries + i;
        double[] scores = new double[keys];
        for (int j = 0; j < keys; j++) {
          scores[j] =
              visible.test(i, j)
                  ? scale * dot(query, queryRow, key, keyRow + j, layout.keyDim())
                  : Double.NEGATIVE_INFINITY;
        }
        logSumExp[queryRow] = softmax(scores);
        System.arraycopy(scores, 0, probabilities, queryRow * keys, keys);
        for (int j = 0; j < keys; j++) {
          for (int c = 0; c < layout.valueDim(); c++) {
            output[queryRow * layout.valueDim() + c] +=
                scores[j] * value[(keyRow + j) * layout.valueDim() + c];
          }
        }
      }
    }
    return new Result(output, logSumExp, probabilities);
  }

  private static double dot(float[] a, int aRow, float[] b, int bRow, int size) {
    double sum = 0;
    for (int d = 0; d < size; d++) {
      sum += (double) a[aRow * size + d] * b[bRow * size + d];
    }
    return sum;
  }

  /** Scores to probabilities, in place; all zero where nothing is visible. */
  private static double softmax(double[] scores) {
    double max = Double.NEGATIVE_INFINITY;
    for (double score : scores) {
      max = Math.max(max, score);
    }
    if (max == Double.NEGATIVE_INFINITY) {
      Arrays.fill(scores, 0);
      return max;
    }
    double sum = 0;
    for (int j = 0; j < scores.length; j++) {
      scores[j] = Math.exp(scores[j] - max);
      sum += scores[j];
    }
    for (int j = 0; j < scores.length; j++) {
      scores[j] /= sum;
    }
    return max + Math.log(sum);
  }
}

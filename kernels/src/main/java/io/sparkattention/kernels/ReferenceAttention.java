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

  /** What becomes of a scaled score: softcap, biases, −∞ for a key that the query does not see. */
  @FunctionalInterface
  public interface Scores {
    double of(int head, int query, int key, double score);
  }

  /** By what a weight is multiplied before it meets its value: 0 or 1 / (1 − p) for dropout. */
  @FunctionalInterface
  public interface Weights {
    double factor(int head, int query, int key);
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
    Scores scores =
        (head, i, j, score) -> visible.test(i, j) ? scale * score : Double.NEGATIVE_INFINITY;
    double[] sinks = new double[layout.numHeads()];
    Arrays.fill(sinks, Double.NEGATIVE_INFINITY);
    return attend(layout, new Tensors(query, key, value), scores, (head, i, j) -> 1, sinks);
  }

  /**
   * Queries, keys and values of one sequence.
   *
   * @param query [numHeads, queries, keyDim]
   * @param key [numKeyValueHeads, keys, keyDim]
   * @param value [numKeyValueHeads, keys, valueDim]
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Tensors(float[] query, float[] key, float[] value) {}

  /**
   * @param scores of the dot product of a query and a key, not scaled
   * @param weights applied behind the softmax
   * @param sinks [numHeads]: logits of a further key each, whose value is zero; −∞: none
   */
  public static Result attend(
      HeadLayout layout, Tensors tensors, Scores scores, Weights weights, double[] sinks) {
    int queries = tensors.query.length / (layout.numHeads() * layout.keyDim());
    int keys = tensors.key.length / (layout.numKeyValueHeads() * layout.keyDim());
    double[] output = new double[layout.numHeads() * queries * layout.valueDim()];
    double[] logSumExp = new double[layout.numHeads() * queries];
    double[] probabilities = new double[layout.numHeads() * queries * keys];
    for (int h = 0; h < layout.numHeads(); h++) {
      int keyRow = layout.keyValueHead(h) * keys;
      for (int i = 0; i < queries; i++) {
        int queryRow = h * queries + i;
        double[] row = new double[keys + 1];
        for (int j = 0; j < keys; j++) {
          double dot = dot(tensors.query, queryRow, tensors.key, keyRow + j, layout.keyDim());
          row[j] = scores.of(h, i, j, dot);
        }
        row[keys] = sinks[h];
        logSumExp[queryRow] = softmax(row);
        System.arraycopy(row, 0, probabilities, queryRow * keys, keys);
        for (int j = 0; j < keys; j++) {
          double weight = row[j] * weights.factor(h, i, j);
          for (int c = 0; c < layout.valueDim(); c++) {
            output[queryRow * layout.valueDim() + c] +=
                weight * tensors.value[(keyRow + j) * layout.valueDim() + c];
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

package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.scores.PositionBias;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * What may become of a score, for {@link #HEADS} heads, and its definition in float64. In the order
 * in which attention applies them.
 */
enum ScoreFunction {
  /**
   * Not the default of any layout; applied to the product of query and key, see {@link #SCALED}.
   */
  SCALE("`--scale`", Map.of(Key.SCALE, "" + ScoreFunction.SCALED)) {
    @Override
    double of(int head, long query, long key, double score) {
      return score;
    }
  },
  SOFTCAP("`--softcap`", Map.of(Key.SOFTCAP, "1.5")) {
    @Override
    double of(int head, long query, long key, double score) {
      return 1.5 * Math.tanh(score / 1.5);
    }
  },
  ALIBI("`--alibi`", Map.of(Key.ALIBI, "auto")) {
    @Override
    double of(int head, long query, long key, double score) {
      return score - SLOPES[head] * Math.abs(key - query);
    }
  },
  RELATIVE_BOTH_WAYS(
      "`--relative-bias bidirectional`",
      Map.of(Key.RELATIVE_BIAS, "bidirectional,128," + text(weights()))) {
    @Override
    double of(int head, long query, long key, double score) {
      return score + WEIGHTS[bucket(key - query, true) * HEADS + head];
    }
  },
  RELATIVE_CAUSAL(
      "`--relative-bias causal`", Map.of(Key.RELATIVE_BIAS, "causal,128," + text(weights()))) {
    @Override
    double of(int head, long query, long key, double score) {
      return score + WEIGHTS[bucket(key - query, false) * HEADS + head];
    }
  },
  /** A function of positions, bounded; beyond the settings' reach. */
  POSITIONS("`withBias`", Map.of()) {
    @Override
    double of(int head, long query, long key, double score) {
      return score + WAVES.of(head, query, key);
    }
  },
  SINK("`--sinks`", Map.of(Key.SINKS, text(sinks()))) {
    @Override
    double of(int head, long query, long key, double score) {
      return score;
    }
  },
  DROPOUT(
      "`--dropout`", Map.of(Key.DROPOUT, "" + ScoreFunction.P, Key.SEED, "" + ScoreFunction.SEED)) {
    @Override
    double of(int head, long query, long key, double score) {
      return score;
    }
  };

  /** Query heads, of a number that is no power of two. */
  static final int HEADS = 6;

  static final double SCALED = 0.3;
  static final double P = 0.3;
  static final long SEED = -77;
  static final double[] SLOPES = {0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125};
  static final float[] SINKS = sinks();

  /** Masks a key, as people write it. */
  private static final float MASKED = -1e9f;

  static final PositionBias WAVES =
      (head, query, key) ->
          (query + 2 * key + head) % 11 == 0
              ? MASKED
              : (float) Math.sin(query * 3 + key * (head + 1));

  /** [32 buckets, heads]; what a bucket weighs −∞ is masked. */
  private static final float[] WEIGHTS = weights();

  private final String label;
  private final Map<Key, String> options;

  ScoreFunction(String label, Map<Key, String> options) {
    this.label = label;
    this.options = options;
  }

  /** As documents name it. */
  String label() {
    return label;
  }

  Map<Key, String> options() {
    return options;
  }

  /**
   * What becomes of a score before the mask; below −2^20 it is masked.
   *
   * @param query the query's position among the keys
   */
  abstract double of(int head, long query, long key, double score);

  /** The formula of T5's buckets in float64; the margin decides where an edge is a whole number. */
  private static int bucket(long distance, boolean bidirectional) {
    int buckets = bidirectional ? 16 : 32;
    int first = bidirectional && distance > 0 ? 16 : 0;
    double n = bidirectional ? Math.abs(distance) : Math.max(0, -distance);
    double exact = buckets / 2.0;
    double far = exact + Math.log(n / exact) / Math.log(128 / exact) * (buckets - exact) + 1e-9;
    return first + (int) (n < exact ? n : Math.min(far, buckets - 1));
  }

  private static float[] sinks() {
    return new float[] {-3, -0.5f, 0, 1.25f, 4, 40};
  }

  private static float[] weights() {
    Random random = new Random(83);
    float[] weights = new float[32 * HEADS];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = random.nextInt(12) == 0 ? -1e7f : (float) random.nextGaussian();
    }
    return weights;
  }

  private static String text(float[] numbers) {
    return IntStream.range(0, numbers.length)
        .mapToObj(i -> Float.toString(numbers[i]))
        .collect(Collectors.joining(","));
  }
}

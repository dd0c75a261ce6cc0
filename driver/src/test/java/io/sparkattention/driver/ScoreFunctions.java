package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.kernels.Dropout;
import io.sparkattention.kernels.ReferenceAttention;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** Score functions of one run: its settings, and the formula that it has to follow. */
record ScoreFunctions(Set<ScoreFunction> all) {
  static ScoreFunctions of(ScoreFunction... functions) {
    Set<ScoreFunction> all = EnumSet.noneOf(ScoreFunction.class);
    all.addAll(Arrays.asList(functions));
    return new ScoreFunctions(all);
  }

  /** For {@link #config}. */
  Map<Key, String> options() {
    Map<Key, String> options = new EnumMap<>(Key.class);
    all.forEach(function -> options.putAll(function.options()));
    return options;
  }

  /** The configuration of the options, with what no option can say. */
  AttentionConfig config(AttentionConfig config) {
    return all.contains(ScoreFunction.POSITIONS) ? config.withBias(ScoreFunction.WAVES) : config;
  }

  /** By which the product of a query and a key is multiplied. */
  double scale(int keyDim) {
    return all.contains(ScoreFunction.SCALE) ? ScoreFunction.SCALED : 1 / Math.sqrt(keyDim);
  }

  /**
   * What becomes of a scaled score before the mask.
   *
   * @param query the query's position among the keys
   */
  double of(int head, long query, long key, double scaled) {
    double score = scaled;
    // An EnumSet goes through its elements in the order of the enum, that of attention.
    for (ScoreFunction function : all) {
      score = function.of(head, query, key, score);
    }
    return score < -0x1p20 ? Double.NEGATIVE_INFINITY : score;
  }

  /** By what a weight is multiplied; positions are those in the sequence. */
  ReferenceAttention.Weights weights() {
    Dropout dropout = new Dropout(probability(), ScoreFunction.SEED, 0, 0);
    return (head, i, j) -> dropout.keeps(head, i, j) ? factor() : 0;
  }

  private double probability() {
    return all.contains(ScoreFunction.DROPOUT) ? ScoreFunction.P : 0;
  }

  /** By which weights that stay are larger. */
  double factor() {
    return 1 / (1 - probability());
  }

  /** [heads]; −∞: none. */
  double[] sinks() {
    double[] sinks = new double[ScoreFunction.HEADS];
    boolean some = all.contains(ScoreFunction.SINK);
    Arrays.setAll(sinks, h -> some ? ScoreFunction.SINKS[h] : Double.NEGATIVE_INFINITY);
    return sinks;
  }

  @Override
  public String toString() {
    return all.stream().map(ScoreFunction::name).collect(Collectors.joining(" + "));
  }
}

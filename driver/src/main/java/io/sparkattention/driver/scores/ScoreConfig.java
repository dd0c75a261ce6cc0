package io.sparkattention.driver.scores;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * The score settings as they were given, before the number of heads is known; {@link Scores} is
 * what a plan makes of them.
 *
 * @param softcap 0: none
 * @param alibi [heads] slopes; of no length: the published ones; null: none
 * @param relativeBias null: none
 * @param sinks [heads], or one for all; null: none
 * @param dropout probability of a weight to be dropped; 0: none
 * @param seed of dropout
 * @param biases functions that were handed in from Java
 */
@SuppressWarnings("ArrayRecordComponent") // not written after they were read
public record ScoreConfig(
    double softcap,
    float[] alibi,
    BucketBias.Weights relativeBias,
    float[] sinks,
    double dropout,
    long seed,
    List<PositionBias> biases)
    implements Serializable {

  private static final double MIN_SOFTCAP = 1e-6;

  /** These settings and one bias more. */
  public ScoreConfig withBias(PositionBias bias) {
    List<PositionBias> more = new ArrayList<>(biases);
    more.add(bias);
    return new ScoreConfig(softcap, alibi, relativeBias, sinks, dropout, seed, List.copyOf(more));
  }

  /**
   * @throws IllegalArgumentException if it is no number from 1e-6 to 2^20
   */
  public static double parseSoftcap(String text) {
    double softcap = Double.parseDouble(text);
    if (!(softcap >= MIN_SOFTCAP && softcap <= NumberList.MAX)) {
      throw new IllegalArgumentException("Out of range: " + softcap);
    }
    return softcap;
  }

  /**
   * @param lists gives the text of a list that is named as {@code @NAME}
   * @throws IllegalArgumentException if it is neither {@code auto} nor a list of slopes
   */
  public static float[] parseAlibi(String text, Function<String, String> lists) {
    return text.equals("auto") ? new float[0] : parseSinks(text, lists);
  }

  /**
   * @param lists gives the text of a list that is named as {@code @NAME}
   * @throws IllegalArgumentException if it is no list of numbers from −2^20 to 2^20
   */
  public static float[] parseSinks(String text, Function<String, String> lists) {
    return NumberList.parse(text, -NumberList.MAX, lists);
  }

  /**
   * @throws IllegalArgumentException if it is no number from 0 to below 1
   */
  public static double parseDropout(String text) {
    double probability = Double.parseDouble(text);
    if (!(probability >= 0 && probability < 1)) {
      throw new IllegalArgumentException("Out of range: " + probability);
    }
    return probability;
  }
}

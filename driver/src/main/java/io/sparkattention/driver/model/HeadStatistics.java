package io.sparkattention.driver.model;

import java.io.Serializable;

/**
 * What the heads of an encoder look at, on average over the tokens of a corpus (Clark et al. 2019,
 * "What Does BERT Look At?", sections 3.1 to 3.3). Attending tokens are those of the text, not the
 * separators around it; attended tokens are all. The shares overlap: the previous token may be a
 * separator, too.
 *
 * <p>Each passage's sums are rounded to multiples of 2^-32 and added as integers, so that the
 * result does not depend on the order of the passages or on who added them.
 */
public final class HeadStatistics implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final double UNIT = 1L << 32;

  /** One number about a head. */
  public enum Kind {
    PREVIOUS("previous", "attention to the previous token"),
    NEXT("next", "attention to the next token"),
    SAME_WORD("same_word", "attention to the same token elsewhere"),
    SEPARATORS("separators", "attention to the separators"),
    ITSELF("itself", "attention to the token itself"),
    DISTANCE("mean_distance", "mean distance in tokens"),
    ENTROPY("mean_entropy", "mean entropy in nats");

    private final String column;
    private final String description;

    Kind(String column, String description) {
      this.column = column;
      this.description = description;
    }

    /** Name of the column in a table. */
    public String column() {
      return column;
    }

    /** For the reader. */
    public String description() {
      return description;
    }

    /** Whether it lies between 0 and 1. */
    public boolean isShare() {
      return compareTo(DISTANCE) < 0;
    }
  }

  private final int layers;
  private final int numHeads;

  /** [layers, numHeads, kinds], in units of 2^-32. */
  private final long[] sums;

  private long attending;
  private long passages;

  private HeadStatistics(int layers, int numHeads) {
    this.layers = layers;
    this.numHeads = numHeads;
    this.sums = new long[layers * numHeads * Kind.values().length];
  }

  /** Of no passage. */
  static HeadStatistics empty(int layers, int numHeads) {
    return new HeadStatistics(layers, numHeads);
  }

  /**
   * Adds a passage.
   *
   * @param ids [tokens]
   * @param separators [tokens]: which of the tokens frame the text
   * @param output of the encoder for these tokens
   */
  void add(int[] ids, boolean[] separators, EncoderOutput output) {
    for (int layer = 0; layer < layers; layer++) {
      for (int head = 0; head < numHeads; head++) {
        double[] passage = sums(ids, separators, output.probabilities()[layer][head]);
        for (Kind kind : Kind.values()) {
          int at = at(layer, head, kind);
          sums[at] = Math.addExact(sums[at], Math.round(passage[kind.ordinal()] * UNIT));
        }
      }
    }
    for (boolean separator : separators) {
      attending += separator ? 0 : 1;
    }
    passages++;
  }

  /** Sums over the attending tokens, by kind. */
  private static double[] sums(int[] ids, boolean[] separators, float[] weights) {
    int tokens = ids.length;
    double[] sums = new double[Kind.values().length];
    for (int from = 0; from < tokens; from++) {
      for (int to = 0; to < tokens && !separators[from]; to++) {
        double weight = weights[from * tokens + to];
        sums[Kind.PREVIOUS.ordinal()] += to == from - 1 ? weight : 0;
        sums[Kind.NEXT.ordinal()] += to == from + 1 ? weight : 0;
        sums[Kind.SAME_WORD.ordinal()] += to != from && ids[to] == ids[from] ? weight : 0;
        sums[Kind.SEPARATORS.ordinal()] += separators[to] ? weight : 0;
        sums[Kind.ITSELF.ordinal()] += to == from ? weight : 0;
        sums[Kind.DISTANCE.ordinal()] += weight * Math.abs(from - to);
        sums[Kind.ENTROPY.ordinal()] -= weight == 0 ? 0 : weight * Math.log(weight);
      }
    }
    return sums;
  }

  /** Adds other passages. */
  HeadStatistics merge(HeadStatistics other) {
    for (int i = 0; i < sums.length; i++) {
      sums[i] = Math.addExact(sums[i], other.sums[i]);
    }
    attending += other.attending;
    passages += other.passages;
    return this;
  }

  private int at(int layer, int head, Kind kind) {
    return (layer * numHeads + head) * Kind.values().length + kind.ordinal();
  }

  /** The mean over all attending tokens. */
  public double mean(int layer, int head, Kind kind) {
    return sums[at(layer, head, kind)] / UNIT / attending;
  }

  /** Number of layers. */
  public int layers() {
    return layers;
  }

  /** Number of heads per layer. */
  public int numHeads() {
    return numHeads;
  }

  /** Number of attending tokens, separators not counted. */
  public long attendingTokens() {
    return attending;
  }

  /** Number of passages. */
  public long passages() {
    return passages;
  }
}

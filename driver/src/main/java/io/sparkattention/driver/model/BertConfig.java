package io.sparkattention.driver.model;

import java.io.Serializable;

/** The sizes of a BERT encoder, as its weights show them. */
public final class BertConfig implements Serializable {
  private static final long serialVersionUID = 1L;

  private final int vocabulary;
  private final int positions;
  private final int hidden;
  private final int numHeads;
  private final int intermediate;
  private final int layers;

  BertConfig(
      int vocabulary, int positions, int hidden, int numHeads, int intermediate, int layers) {
    this.vocabulary = vocabulary;
    this.positions = positions;
    this.hidden = hidden;
    this.numHeads = numHeads;
    this.intermediate = intermediate;
    this.layers = layers;
  }

  BertConfig withLayers(int count) {
    return new BertConfig(vocabulary, positions, hidden, numHeads, intermediate, count);
  }

  /** Number of token ids. */
  public int vocabulary() {
    return vocabulary;
  }

  /** Number of learnt positions: the longest input. */
  public int positions() {
    return positions;
  }

  /** Width of a hidden state, numHeads · headDim. */
  public int hidden() {
    return hidden;
  }

  /** Attention heads per layer. */
  public int numHeads() {
    return numHeads;
  }

  /** Width of one head. */
  public int headDim() {
    return hidden / numHeads;
  }

  /** Width of the feed-forward layer's inside. */
  public int intermediate() {
    return intermediate;
  }

  /** Number of layers. */
  public int layers() {
    return layers;
  }
}

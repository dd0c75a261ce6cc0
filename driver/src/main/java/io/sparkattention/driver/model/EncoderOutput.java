package io.sparkattention.driver.model;

/**
 * What an encoder made of one short input.
 *
 * @param tokens number of tokens
 * @param lastHiddenState the last layer's output, [tokens, hidden]
 * @param probabilities per layer and head the attention weights [tokens, tokens]: a row for each
 *     attending token, summing to 1
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record EncoderOutput(int tokens, float[] lastHiddenState, float[][][] probabilities) {
  /** The weight with which token {@code from} attends to token {@code to}. */
  public float probability(int layer, int head, int from, int to) {
    return probabilities[layer][head][from * tokens + to];
  }

  /** Number of layers. */
  public int layers() {
    return probabilities.length;
  }

  /** Number of heads per layer. */
  public int numHeads() {
    return probabilities[0].length;
  }
}

package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;

/**
 * Runs a whole BERT encoder on one short input, on one thread, and keeps the attention weights of
 * all heads: memory grows with tokens².
 */
public final class BertEncoder {
  private final BertModel model;

  public BertEncoder(BertModel model) {
    this.model = model;
  }

  /**
   * Encodes one sequence; every token attends to every token.
   *
   * @param ids token ids, special tokens included; at least one, at most the model's positions
   */
  public EncoderOutput encode(int[] ids) {
    float[][][] probabilities = new float[model.config().layers()][][];
    float[] states = states(ids, (layer, heads) -> probabilities[layer] = heads);
    return new EncoderOutput(ids.length, states, probabilities);
  }

  /**
   * The last layer's output alone, [tokens, hidden]; weights are kept for one layer at a time.
   *
   * @param ids as {@link #encode} takes them
   */
  public float[] lastHiddenState(int[] ids) {
    return states(ids, (layer, heads) -> {});
  }

  /** Takes the weights of a layer, per head [tokens, tokens]. */
  @FunctionalInterface
  private interface WeightsOf {
    void layer(int layer, float[][] heads);
  }

  private float[] states(int[] ids, WeightsOf weights) {
    int tokens = ids.length;
    if (tokens == 0) {
      throw new InvalidInputException("Cannot encode: found no tokens, expected at least one");
    }
    Positions.ERROR.check(tokens, model.config().positions());
    model.checkIds(ids);
    int hidden = model.config().hidden();
    float[] states = new float[tokens * hidden];
    for (int position = 0; position < tokens; position++) {
      model.embed(ids[position], position, states, position * hidden);
    }
    for (int index = 0; index < model.config().layers(); index++) {
      BertLayer layer = model.layer(index);
      Attention attention = attend(layer, states, tokens);
      weights.layer(index, attention.probabilities());
      states = layer.finish(states, attention.context(), tokens);
    }
    return states;
  }

  /**
   * One layer's attention before its output projection.
   *
   * @param context weighted values, heads side by side, [tokens, hidden]
   * @param probabilities per head [tokens, tokens]
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Attention(float[] context, float[][] probabilities) {}

  /** Multi-head attention of all rows of {@code states} [tokens, hidden] to all rows. */
  Attention attend(BertLayer layer, float[] states, int tokens) {
    float[] query = layer.query().apply(states, tokens);
    float[] key = layer.key().apply(states, tokens);
    float[] value = layer.value().apply(states, tokens);
    float[] context = new float[query.length];
    float[][] probabilities = new float[model.config().numHeads()][];
    for (int head = 0; head < probabilities.length; head++) {
      int column = head * model.config().headDim();
      probabilities[head] = probabilities(query, key, tokens, column);
      weigh(probabilities[head], value, tokens, column, context);
    }
    return new Attention(context, probabilities);
  }

  /** softmax(QKᵀ / √headDim) of the head that starts at {@code column}. */
  private float[] probabilities(float[] query, float[] key, int tokens, int column) {
    int hidden = model.config().hidden();
    int headDim = model.config().headDim();
    double scale = 1 / Math.sqrt(headDim);
    float[] rows = new float[tokens * tokens];
    for (int from = 0; from < tokens; from++) {
      for (int to = 0; to < tokens; to++) {
        float dot = 0;
        for (int i = column; i < column + headDim; i++) {
          dot = Math.fma(query[from * hidden + i], key[to * hidden + i], dot);
        }
        rows[from * tokens + to] = (float) (dot * scale);
      }
      softmax(rows, from * tokens, tokens);
    }
    return rows;
  }

  private static void softmax(float[] rows, int offset, int length) {
    float max = Float.NEGATIVE_INFINITY;
    for (int i = offset; i < offset + length; i++) {
      max = Math.max(max, rows[i]);
    }
    double sum = 0;
    for (int i = offset; i < offset + length; i++) {
      rows[i] = (float) Math.exp(rows[i] - max);
      sum += rows[i];
    }
    for (int i = offset; i < offset + length; i++) {
      rows[i] = (float) (rows[i] / sum);
    }
  }

  private void weigh(float[] weights, float[] value, int tokens, int column, float[] context) {
    int hidden = model.config().hidden();
    int headDim = model.config().headDim();
    for (int from = 0; from < tokens; from++) {
      for (int to = 0; to < tokens; to++) {
        float weight = weights[from * tokens + to];
        for (int i = column; i < column + headDim; i++) {
          context[from * hidden + i] =
              Math.fma(weight, value[to * hidden + i], context[from * hidden + i]);
        }
      }
    }
  }
}

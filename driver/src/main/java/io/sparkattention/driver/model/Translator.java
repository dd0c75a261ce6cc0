package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.BlockGrid;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * Translates one source after the other with an encoder-decoder; the decoder attends to the
 * encoder's states (cross-attention). One thread, in one process: many sources are spread over the
 * tasks of a job.
 */
public final class Translator {
  private final TranslationModel model;
  private final BlockGrid grid;
  private final LocalAttention encoderAttention;
  private final LocalAttention selfAttention;
  private final LocalAttention crossAttention;

  /**
   * @param grid on which keys are cut into blocks
   */
  public Translator(TranslationModel model, BlockGrid grid) {
    this.model = model;
    this.grid = grid;
    this.encoderAttention = new LocalAttention(model.encoderHeads(), AttentionMask.full());
    this.selfAttention = new LocalAttention(model.decoderHeads(), AttentionMask.causal());
    this.crossAttention = new LocalAttention(model.decoderHeads(), AttentionMask.full());
  }

  /**
   * A translation, its last token the one that ends it, unless it was cut off.
   *
   * @param tokens target tokens
   * @param logProbs [tokens]: natural logarithm of each one's probability after those before it
   * @param alignment [tokens, source tokens]: where the step that gave the token looked, the mean
   *     over the heads of the last layer's cross-attention; rows sum to 1
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  public record Translation(int[] tokens, double[] logProbs, float[][] alignment)
      implements Serializable {}

  /**
   * Takes the most likely token at every step.
   *
   * @param source at least one token
   * @param maxTokens where a translation is cut off
   */
  public Translation translate(int[] source, int maxTokens) {
    Decoding decoding = new Decoding(source);
    int token = model.beginToken();
    while (decoding.tokens.size() < maxTokens && token != model.endToken()) {
      double[] logProbs = decoding.step(token);
      token = mostLikely(logProbs);
      decoding.take(token, logProbs);
    }
    return decoding.translation();
  }

  /** How likely a given translation is, its end included. */
  public Translation score(int[] source, int[] target) {
    Decoding decoding = new Decoding(source);
    int token = model.beginToken();
    for (int next : target) {
      decoding.take(next, decoding.step(token));
      token = next;
    }
    decoding.take(model.endToken(), decoding.step(token));
    return decoding.translation();
  }

  /** Of equal ones the first. */
  private static int mostLikely(double[] logProbs) {
    int best = 0;
    for (int id = 1; id < logProbs.length; id++) {
      if (logProbs[id] > logProbs[best]) {
        best = id;
      }
    }
    return best;
  }

  /** The encoder's states, [tokens, hidden]. */
  private float[] encode(int[] source) {
    int rows = source.length;
    float[] states = model.embedSource(source);
    for (TranslationModel.EncoderLayer layer : model.encoder()) {
      float[] normal = layer.self().norm().normalized(states, rows);
      MultiHeadProjection projection = layer.self().projection();
      LocalKeyValues keys = new LocalKeyValues(encoderAttention, grid);
      keys.append(
          projection.key().apply(normal, rows), projection.value().apply(normal, rows), rows);
      float[] context = keys.attend(projection.query().apply(normal, rows), rows, 0);
      layer.self().addTo(states, context, rows);
      layer.feedForward().addTo(states, rows);
    }
    return model.encoderNorm().normalized(states, rows);
  }

  /** A translation on its way. */
  private final class Decoding {
    private final List<LocalKeyValues> self = new ArrayList<>();
    private final List<LocalKeyValues> cross = new ArrayList<>();
    private final List<Integer> tokens = new ArrayList<>();
    private final List<Double> logProbs = new ArrayList<>();
    private final List<float[]> alignment = new ArrayList<>();
    private int position;

    Decoding(int[] source) {
      if (source.length == 0) {
        throw new InvalidInputException(
            "Cannot translate: found no source tokens, expected at least one");
      }
      float[] states = encode(source);
      for (TranslationModel.DecoderLayer layer : model.decoder()) {
        MultiHeadProjection projection = layer.cross().projection();
        LocalKeyValues keys = new LocalKeyValues(crossAttention, grid);
        keys.append(
            projection.key().apply(states, source.length),
            projection.value().apply(states, source.length),
            source.length);
        cross.add(keys);
        self.add(new LocalKeyValues(selfAttention, grid));
      }
    }

    /** The logarithms of the probabilities of what follows a token. */
    double[] step(int token) {
      float[] state = model.embedTarget(token, position);
      float[] crossQueries = null;
      for (int i = 0; i < self.size(); i++) {
        TranslationModel.DecoderLayer layer = model.decoder()[i];
        float[] normal = layer.self().norm().normalized(state, 1);
        MultiHeadProjection projection = layer.self().projection();
        self.get(i)
            .append(projection.key().apply(normal, 1), projection.value().apply(normal, 1), 1);
        float[] queries = projection.query().apply(normal, 1);
        layer.self().addTo(state, self.get(i).attend(queries, 1, position), 1);
        crossQueries = layer.cross().queries(state, 1);
        layer.cross().addTo(state, cross.get(i).attend(crossQueries, 1, 0), 1);
        layer.feedForward().addTo(state, 1);
      }
      alignment.add(cross.get(cross.size() - 1).meanWeights(crossQueries));
      position++;
      return model.logProbabilities(state);
    }

    void take(int token, double[] logProbabilities) {
      tokens.add(token);
      logProbs.add(logProbabilities[token]);
    }

    Translation translation() {
      return new Translation(
          tokens.stream().mapToInt(Integer::intValue).toArray(),
          logProbs.stream().mapToDouble(Double::doubleValue).toArray(),
          alignment.toArray(float[][]::new));
    }
  }
}

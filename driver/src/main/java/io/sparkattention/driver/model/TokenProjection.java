package io.sparkattention.driver.model;

import java.io.Serializable;
import java.util.Arrays;
import java.util.Iterator;
import java.util.stream.IntStream;

/**
 * What every executor needs to project any range of one sequence's tokens with a model's first
 * layer: broadcast once.
 */
final class TokenProjection implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Rows projected together: enough to reuse the weights, few enough for the caches. */
  private static final int ROWS_AT_ONCE = 64;

  private final BertModel model;
  private final Positions positions;
  private final String sequenceId;

  /** [tokens]. */
  private final int[] ids;

  /** By token id. */
  private final String[] vocabulary;

  TokenProjection(BertModel model, Positions positions, String sequenceId, TokenizedText text) {
    positions.check(text.size(), model.config().positions());
    model.checkIds(text.ids());
    this.model = model.withLayers(1);
    this.positions = positions;
    this.sequenceId = sequenceId;
    this.ids = text.ids();
    this.vocabulary = text.vocabulary();
  }

  /** A run of consecutive positions. */
  static final class Range implements Serializable {
    private static final long serialVersionUID = 1L;
    final int start;
    final int end;

    Range(int start, int end) {
      this.start = start;
      this.end = end;
    }

    /** Cuts 0 … tokens − 1 into at most {@code count} ranges of nearly equal length. */
    static Range[] of(int tokens, int count) {
      int ranges = Math.min(tokens, count);
      return IntStream.range(0, ranges)
          .mapToObj(
              i ->
                  new Range(
                      (int) ((long) tokens * i / ranges), (int) ((long) tokens * (i + 1) / ranges)))
          .toArray(Range[]::new);
    }
  }

  /** The vocabulary's token at a position. */
  String token(int position) {
    return vocabulary[ids[position]];
  }

  /** The projected tokens of a range, a few at a time. */
  Iterator<ProjectedToken> project(Range range) {
    int steps = (range.end - range.start + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
    return IntStream.range(0, steps)
        .map(step -> range.start + step * ROWS_AT_ONCE)
        .boxed()
        .flatMap(first -> Arrays.stream(rows(first, Math.min(range.end - first, ROWS_AT_ONCE))))
        .iterator();
  }

  private ProjectedToken[] rows(int first, int count) {
    int hidden = model.config().hidden();
    float[] states = new float[count * hidden];
    for (int row = 0; row < count; row++) {
      int position = positions.learnt((long) first + row, model.config().positions());
      model.embed(ids[first + row], position, states, row * hidden);
    }
    BertLayer layer = model.layer(0);
    float[] query = layer.query().apply(states, count);
    float[] key = layer.key().apply(states, count);
    float[] value = layer.value().apply(states, count);
    ProjectedToken[] rows = new ProjectedToken[count];
    for (int row = 0; row < count; row++) {
      ProjectedToken projected = new ProjectedToken();
      projected.setSequenceId(sequenceId);
      projected.setPosition((long) first + row);
      projected.setTokenId(ids[first + row]);
      projected.setToken(vocabulary[ids[first + row]]);
      projected.setQuery(Arrays.copyOfRange(query, row * hidden, (row + 1) * hidden));
      projected.setKey(Arrays.copyOfRange(key, row * hidden, (row + 1) * hidden));
      projected.setValue(Arrays.copyOfRange(value, row * hidden, (row + 1) * hidden));
      rows[row] = projected;
    }
    return rows;
  }
}

package io.sparkattention.driver.model;

import io.sparkattention.driver.model.TokenProjection.Range;
import java.io.Serializable;
import java.util.Iterator;

/** Queries and keys of consecutive tokens, as they travel to the keys and queries of others. */
final class ProjectedRun implements Serializable {
  private static final long serialVersionUID = 1L;

  final int start;
  final int tokens;

  /** [tokens, hidden]. */
  final float[] queries;

  /** [tokens, hidden]. */
  final float[] keys;

  ProjectedRun(TokenProjection projection, Range range, int hidden) {
    this.start = range.start;
    this.tokens = range.end - range.start;
    this.queries = new float[Math.multiplyExact(tokens, hidden)];
    this.keys = new float[queries.length];
    int row = 0;
    for (Iterator<ProjectedToken> rows = projection.project(range); rows.hasNext(); row++) {
      ProjectedToken token = rows.next();
      System.arraycopy(token.getQuery(), 0, queries, row * hidden, hidden);
      System.arraycopy(token.getKey(), 0, keys, row * hidden, hidden);
    }
  }
}

package io.sparkattention.kernels;

/** What one fold is about. */
record BlockPair(
    QueryBlock queries, KeyValueBlock keys, VisibleKeys visible, ScoreTransform transform) {
  /** Throws where the parts do not fit each other. */
  void check() {
    HeadLayout layout = queries.layout();
    if (!layout.equals(keys.layout())
        || !visible.fits(layout.numHeads(), queries.rows(), keys.keys())) {
      throw new IllegalArgumentException(
          "Cannot fold %s keys into %s queries".formatted(keys.layout(), layout));
    }
  }

  /** Throws where the parts do not fit each other and the state. */
  void check(AttentionState state) {
    check();
    HeadLayout layout = queries.layout();
    if (state.heads() != layout.numHeads()
        || state.rows() != queries.rows()
        || state.valueDim() != layout.valueDim()) {
      throw new IllegalArgumentException(
          "Cannot fold %s keys into the state of %s queries".formatted(keys.layout(), layout));
    }
  }

  /** A bound on the absolute scores of a head before the transform, in log2 units. */
  float scoreBound(int head) {
    int keyValueHead = queries.layout().keyValueHead(head);
    return queries.norms()[head] * keys.keyNorms()[keyValueHead] * queries.unit();
  }
}

package io.sparkattention.kernels.benchmark;

import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.HeadLayout;

/** What is computed, whoever computes it. */
record Shape(HeadLayout layout, int queries, int keys, Mask mask) {
  private static final long SEED = 1;

  /** Self-attention of {@code tokens} with keys and values of the same size. */
  static Shape of(int heads, int keyValueHeads, int tokens, int headDim, Mask mask) {
    HeadLayout layout = new HeadLayout(heads, keyValueHeads, headDim, headDim);
    return new Shape(layout, tokens, tokens, mask);
  }

  /** One head of it. */
  static Shape of(int tokens, int headDim, Mask mask) {
    return of(1, 1, tokens, headDim, mask);
  }

  /** Unit-normal inputs, the same for everyone. */
  AttentionCase draw() {
    return new AttentionCase(layout, queries, keys, SEED);
  }

  boolean isGrouped() {
    return layout.numHeads() != layout.numKeyValueHeads();
  }

  /** 2 · unmasked pairs · (keyDim + valueDim) for every query head. */
  double flops() {
    double perHead = 2.0 * mask.pairs(queries, keys) * (layout.keyDim() + layout.valueDim());
    return perHead * layout.numHeads();
  }
}

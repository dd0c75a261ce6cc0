package io.sparkattention.partitioning;

import java.util.Optional;

/** See {@link AttentionMask#blockTopK}. Without a selection: all that could be chosen. */
final class BlockTopKMask extends AttentionMask {
  static final long DEFAULT_BLOCK_TOKENS = 512;

  private final TopK topK;

  BlockTopKMask(TopK topK) {
    this.topK = topK;
  }

  @Override
  public Optional<TopK> topK() {
    return Optional.of(topK);
  }

  @Override
  Coverage coverage(Area area) {
    return Coverage.PARTIAL;
  }

  @Override
  long visiblePairs(Area area) {
    return area.pairs();
  }

  @Override
  void show(Area area, long[] words) {
    long size = topK.blockTokens();
    long first = area.keyFrom() / size;
    long last = (area.keyTo() - 1) / size;
    for (int row = 0; row < area.queries(); row++) {
      for (long block = first; block <= last; block++) {
        if (area.selection().chosen(row, block)) {
          area.show(words, row, block * size, (block + 1) * size);
        }
      }
    }
  }

  @Override
  public String toString() {
    return "block-top-k:" + topK.count() + "," + topK.blockTokens();
  }
}

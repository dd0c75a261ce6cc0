package io.sparkattention.partitioning;

import java.util.ArrayList;
import java.util.List;

/**
 * What the kernel computes of PARTIAL pairs of blocks beyond what is visible, counted in some of
 * them: it skips {@link WorkProfile#STRIP} queries × {@link WorkProfile#PANEL} keys of which
 * nothing is visible and computes all others whole. Kept small by keeping every 2^k-th pair that it
 * is told of.
 */
final class PanelSample {
  private static final int MOST_PAIRS = 64;

  /** So many rows of a pair are looked at in one go, and so many times. */
  private static final int GROUP_ROWS = 44 * WorkProfile.STRIP;

  private static final int GROUPS = 3;

  private record Pair(Block query, Block key) {}

  private final AttentionMask mask;
  private final long[] offsets;
  private List<Pair> pairs = new ArrayList<>();
  private long told;
  private long stride = 1;

  private double rows;
  private double extraScores;
  private double maskedScores;

  PanelSample(AttentionMask mask, long[] offsets) {
    this.mask = mask;
    this.offsets = offsets;
  }

  void add(Block query, Block key) {
    if (told++ % stride != 0) {
      return;
    }
    pairs.add(new Pair(query, key));
    if (pairs.size() > MOST_PAIRS) {
      List<Pair> half = new ArrayList<>();
      for (int i = 0; i < pairs.size(); i += 2) {
        half.add(pairs.get(i));
      }
      pairs = half;
      stride *= 2;
    }
  }

  /** Looks at the pairs. */
  void count() {
    for (Pair pair : pairs) {
      long tokens = pair.query.end() - pair.query.start();
      long groups = Math.min(GROUPS, (tokens + GROUP_ROWS - 1) / GROUP_ROWS);
      for (long g = 0; g < groups; g++) {
        // Spread over the block and aligned with its strips.
        long row = groups == 1 ? 0 : (tokens - 1) / GROUP_ROWS * g / (groups - 1) * GROUP_ROWS;
        long start = pair.query.start() + row;
        long end = Math.min(start + GROUP_ROWS, pair.query.end());
        count(new Block(pair.query.sequence(), start, end), pair.key);
      }
    }
    pairs = List.of();
  }

  private void count(Block query, Block key) {
    int wordsPerRow = AttentionMask.wordsPerRow(key);
    long[] words = new long[Math.multiplyExact(query.tokens(), wordsPerRow)];
    mask.visible(query, key, offsets[query.sequence()], words);
    long visible = 0;
    long computed = 0;
    for (int row = 0; row < query.tokens(); row += WorkProfile.STRIP) {
      int strip = Math.min(WorkProfile.STRIP, query.tokens() - row);
      for (int word = 0; word < wordsPerRow; word++) {
        // A panel is a word: both have 64 keys and begin at the block's first.
        int keys = Math.min(WorkProfile.PANEL, key.tokens() - word * WorkProfile.PANEL);
        int seen = 0;
        for (int r = row; r < row + strip; r++) {
          seen += Long.bitCount(words[r * wordsPerRow + word]);
        }
        visible += seen;
        computed += seen > 0 ? WorkProfile.STRIP * WorkProfile.PANEL : 0;
        maskedScores += seen > 0 && seen < strip * keys ? WorkProfile.STRIP * WorkProfile.PANEL : 0;
      }
    }
    rows += query.tokens();
    extraScores += Math.max(0, computed - visible * WorkProfile.padding(query));
  }

  /** Scores computed beyond the visible ones, for each query of a PARTIAL pair. */
  double extraScoresPerRow() {
    return rows == 0 ? 0 : extraScores / rows;
  }

  /** Scores among queries and keys that are seen in part, likewise. */
  double maskedScoresPerRow() {
    return rows == 0 ? 0 : maskedScores / rows;
  }
}

package io.sparkattention.partitioning;

/**
 * What a task computes, for each head.
 *
 * @param visiblePairs (query, key) pairs that the mask leaves
 * @param computedScores pairs that the kernel computes: it goes by {@link WorkProfile#STRIP}
 *     queries × {@link WorkProfile#PANEL} keys, and masks what of them is hidden
 * @param maskedScores computed ones among queries and keys that the mask shows in part
 * @param leaves (query, key block) pairs: the merges into a state
 * @param rows queries that have a state
 * @param streamedKeys keys that are read, once for each query block that sees some of their block
 */
public record RankWork(
    double visiblePairs,
    double computedScores,
    double maskedScores,
    double leaves,
    double rows,
    double streamedKeys) {
  static final RankWork NONE = new RankWork(0, 0, 0, 0, 0, 0);

  RankWork plus(RankWork other) {
    return new RankWork(
        visiblePairs + other.visiblePairs,
        computedScores + other.computedScores,
        maskedScores + other.maskedScores,
        leaves + other.leaves,
        rows + other.rows,
        streamedKeys + other.streamedKeys);
  }

  /** The same work cut into equal parts. */
  public RankWork over(double parts) {
    return new RankWork(
        visiblePairs / parts,
        computedScores / parts,
        maskedScores / parts,
        leaves / parts,
        rows / parts,
        streamedKeys / parts);
  }
}

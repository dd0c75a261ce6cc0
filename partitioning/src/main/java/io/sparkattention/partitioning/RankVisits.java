package io.sparkattention.partitioning;

import java.util.Comparator;
import java.util.List;

/**
 * What a rank reads of keys and values.
 *
 * @param runs units that are fetched
 * @param tokens keys in them
 */
public record RankVisits(long runs, double tokens) {

  /**
   * What several ranges of runs have together.
   *
   * @param ranges begin and end of each; sorted here
   * @param tokensBefore [runs + 1]: keys in the runs before each
   */
  static RankVisits union(List<int[]> ranges, double[] tokensBefore) {
    ranges.sort(Comparator.comparingInt(range -> range[0]));
    long runs = 0;
    double tokens = 0;
    int end = 0;
    for (int[] range : ranges) {
      int from = Math.max(end, range[0]);
      if (from < range[1]) {
        runs += range[1] - from;
        tokens += tokensBefore[range[1]] - tokensBefore[from];
        end = range[1];
      }
    }
    return new RankVisits(runs, tokens);
  }
}

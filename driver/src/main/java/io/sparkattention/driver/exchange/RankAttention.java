package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.function.IntFunction;
import org.apache.spark.TaskContext;

/**
 * The attention of a rank where keys and values come to its queries: run after run in ring order,
 * each fetched while the one before is folded. Travels with the task.
 */
final class RankAttention implements Serializable {
  private static final long serialVersionUID = 1L;

  private final int rank;

  /** Runs of keys and values, in the order of the visits. */
  private final int[] visits;

  /** The visit after which each of its query blocks has seen all its keys. */
  private final HashMap<Block, Integer> lastVisits;

  private RankAttention(int rank, int[] visits, HashMap<Block, Integer> lastVisits) {
    this.rank = rank;
    this.visits = visits;
    this.lastVisits = lastVisits;
  }

  static RankAttention of(AttentionPlan plan, int rank) {
    HashMap<Block, Integer> lastVisits = new HashMap<>();
    for (int i = 0; i < plan.queryRanks().length; i++) {
      if (plan.queryRanks()[i] == rank) {
        lastVisits.put(plan.queryBlocks().get(i), plan.schedule().lastVisit(i));
      }
    }
    return new RankAttention(rank, plan.schedule().runs(rank), lastVisits);
  }

  int rank() {
    return rank;
  }

  /** The run of a visit, by number. */
  int run(int visit) {
    return visits[visit];
  }

  /**
   * Folds all runs of the rank into its queries.
   *
   * @param read gives the run of a visit, on a thread of its own
   * @return the finished rows of all its query blocks
   */
  List<AttentionRows> of(
      PairFold fold,
      List<PlacedQueries> queries,
      IntFunction<List<PlacedKeyValues>> read,
      TaskContext context) {
    HeapPeak.watch();
    QueryStates own = new QueryStates(fold, context);
    queries.forEach(own::add);
    List<AttentionRows> rows = new ArrayList<>();
    try (RunPrefetcher prefetcher = new RunPrefetcher(visits.length, read, context)) {
      for (int visit = 0; prefetcher.hasNext(); visit++) {
        prefetcher.next().forEach(own::fold);
        int visited = visit;
        rows.addAll(own.finish(block -> lastVisits.get(block) <= visited));
      }
    }
    own.addUnseen();
    rows.addAll(own.finish(block -> true));
    return rows;
  }
}

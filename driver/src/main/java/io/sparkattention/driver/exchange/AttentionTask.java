package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.Placement;
import io.sparkattention.kernels.HeadSlice;
import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.function.IntFunction;
import org.apache.spark.TaskContext;

/**
 * What one task computes: the heads of a slice for the query blocks of a visitor of the schedule.
 *
 * @param heads of all its blocks
 * @param visits partitions of the keys and values, in the order in which they are folded
 * @param lastVisits for each query block the index of the visit after which it has seen all its
 *     keys; −1 where it sees none
 */
@SuppressWarnings("ArrayRecordComponent")
record AttentionTask(HeadSlice heads, int[] visits, HashMap<Block, Integer> lastVisits)
    implements Serializable {

  /**
   * What a task has computed.
   *
   * @param rows the finished rows of all its query blocks
   * @param countedPairs visible pairs, where the plan does not know them
   */
  record Result(List<AttentionRows> rows, long countedPairs, TimeSplit times) {}

  /**
   * Folds all runs into the queries, each fetched while the one before is folded.
   *
   * @param fold of all heads
   * @param queries of the task's heads
   * @param read gives the run of a visit, on a thread of its own
   */
  Result attend(
      PairFold fold,
      List<PlacedQueries> queries,
      IntFunction<List<PlacedKeyValues>> read,
      TaskContext context) {
    HeapPeak.watch();
    PairFold folded = fold.ofHeads(heads);
    QueryStates own = new QueryStates(folded, context);
    queries.forEach(own::add);
    List<AttentionRows> rows;
    TimeSplit transfer;
    try (RunPrefetcher prefetcher = new RunPrefetcher(visits.length, read, context)) {
      rows = own.foldAll(prefetcher, lastVisits);
      transfer = prefetcher.times();
    }
    return new Result(rows, folded.countedPairs(), folded.times().plus(transfer));
  }

  /**
   * All tasks of a plan. The one of visitor v and slice s has the number v · slices + s, as has the
   * partition with its queries; run i of its slice is partition s · runs + i.
   */
  static List<AttentionTask> of(AttentionPlan plan) {
    Placement placement = plan.placement();
    List<HashMap<Block, Integer>> lastVisits = new ArrayList<>();
    for (int visitor = 0; visitor < plan.schedule().visitors(); visitor++) {
      lastVisits.add(new HashMap<>());
    }
    int[] visitors = placement.visitors();
    for (int i = 0; i < visitors.length; i++) {
      Block block = plan.queryBlocks().get(i);
      lastVisits.get(visitors[i]).put(block, plan.schedule().lastVisit(i));
    }
    List<AttentionTask> tasks = new ArrayList<>();
    for (int visitor = 0; visitor < lastVisits.size(); visitor++) {
      for (int slice = 0; slice < placement.headSlices().size(); slice++) {
        int[] visits = plan.schedule().runs(visitor);
        for (int visit = 0; visit < visits.length; visit++) {
          visits[visit] += slice * plan.keyRuns().size();
        }
        HeadSlice heads = placement.headSlices().get(slice);
        tasks.add(new AttentionTask(heads, visits, lastVisits.get(visitor)));
      }
    }
    return tasks;
  }
}

package io.sparkattention.driver.exchange;

import io.sparkattention.driver.Placement;
import io.sparkattention.driver.Workload;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockAssignment;
import java.util.ArrayList;
import java.util.List;

/**
 * How {@code reduce} takes queries in turn, so that the states of any number of them fit: batches
 * of consecutive query blocks, and parts of them in which states meet.
 *
 * @param starts [batches + 1]: index of the first block of each, and one past the last block
 * @param parts [queryBlocks]: the part in which the states of a block meet, in ascending order
 * @param partCount parts, at least as many as shards and as batches
 */
@SuppressWarnings("ArrayRecordComponent")
public record QueryBatches(List<Integer> starts, int[] parts, int partCount) {
  /** The turns of a placement. */
  public static QueryBatches of(Workload workload, Placement placement) {
    int[] turns = placement.turnsOfBlocks();
    List<Integer> starts = new ArrayList<>();
    for (int block = 0; block < turns.length; block++) {
      if (block == 0 || turns[block] != turns[block - 1]) {
        starts.add(block);
      }
    }
    int partCount = Math.max(placement.shards(), starts.size());
    starts.add(turns.length);
    int[] parts = BlockAssignment.CONTIGUOUS.ranks(new long[turns.length], partCount);
    return new QueryBatches(List.copyOf(starts), parts, partCount);
  }

  /** Elements of the states of some queries. */
  public static long stateElements(HeadLayout layout, long rows) {
    return rows * layout.numHeads() * (layout.valueDim() + 1);
  }

  public int count() {
    return starts.size() - 1;
  }

  /** The query blocks of a batch. */
  public List<Block> blocks(Workload workload, int batch) {
    return workload.queryBlocks().subList(starts.get(batch), starts.get(batch + 1));
  }
}

package io.sparkattention.driver;

import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.HeadSlice;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import java.util.List;

/**
 * The memory that a task of the attention needs at most, in bytes of the heap:
 *
 * <pre>{@code
 * standing                                  + Σ over the query blocks of the task
 *   3 · largest run of keys and values          packed queries  4 · numHeads · tokens · keyDim
 *   + masks and biases of a pair of blocks      + state        20 · numHeads · tokens · (valueDim + 1)
 *   + 4 MiB of the kernel's scratch             + rows          4 · numHeads · tokens · (valueDim + 1)
 * }</pre>
 *
 * <p>Of the runs one is folded, one read ahead, and one on its way in the form in which it travels.
 * All states are counted at once, although under many masks some end before others begin. Under
 * {@code heads} a task has the heads of its slice only, of queries, keys, states and rows alike.
 * What Spark stores is not counted, nor what an executor holds for all of its tasks.
 */
final class TaskMemory {
  private static final int RUNS = 3;
  private static final long SCRATCH_BYTES = 4L << 20;

  private final Workload workload;
  private final HeadSlice heads;
  private final long runBytes;

  /**
   * @param keyRuns units in which keys and values are fetched
   * @param heads those that the task computes
   */
  TaskMemory(Workload workload, List<List<Block>> keyRuns, HeadSlice heads) {
    this.workload = workload;
    this.heads = heads;
    HeadLayout layout = heads.layout();
    this.runBytes =
        keyRuns.stream()
            .mapToLong(
                run ->
                    run.stream()
                        .mapToLong(
                            block ->
                                KeyValueBlock.bytes(
                                    layout, block.tokens(), workload.keyValueType()))
                        .sum())
            .max()
            .orElse(0);
  }

  /** What a task needs whatever its queries. */
  long standingBytes() {
    return RUNS * runBytes + pairBytes() + SCRATCH_BYTES;
  }

  /** Masks and biases of one pair of blocks. */
  private long pairBytes() {
    int queries = longest(workload.queryBlocks());
    int keys = longest(workload.keyBlocks());
    boolean headsDiffer = workload.mask().topK().isPresent();
    long bits = Long.BYTES * queries * words(keys) * (headsDiffer ? layout().numHeads() + 1L : 1);
    double ofTensor =
        workload.pairMask().map(mask -> mask.pairBytes(Math.max(queries, keys), heads)).orElse(0.0);
    long biases = Float.BYTES * (long) layout().numHeads() * (queries + keys);
    // What two masks leave together is a third set of bits.
    return 2 * bits + biases + (long) (2 * ofTensor);
  }

  private static int longest(List<Block> blocks) {
    return blocks.stream().mapToInt(Block::tokens).max().orElse(0);
  }

  private static long words(long keys) {
    return (keys + Long.SIZE - 1) / Long.SIZE;
  }

  private HeadLayout layout() {
    return heads.layout();
  }

  /** What a block of queries adds. */
  long queryBytes(Block queries) {
    int heads = layout().numHeads();
    int tokens = queries.tokens();
    long rows = Float.BYTES * (long) heads * tokens * (layout().valueDim() + 1);
    return QueryBlock.bytes(layout(), tokens)
        + AttentionState.bytes(heads, tokens, layout().valueDim())
        + rows
        + choiceBytes(queries);
  }

  /** Which key blocks its queries chose. */
  private long choiceBytes(Block queries) {
    AttentionMask mask = workload.mask();
    if (mask.topK().isEmpty()) {
      return 0;
    }
    long keys = workload.sequences().get(queries.sequence()).keys();
    long blocks = keys / mask.topK().get().blockTokens() + 1;
    return Long.BYTES * (long) layout().numHeads() * queries.tokens() * words(blocks);
  }
}

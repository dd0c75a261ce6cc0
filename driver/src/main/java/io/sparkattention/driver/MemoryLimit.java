package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.kernels.HeadLayout;

/** How much a task of a run may hold in memory: what was asked for, or what executors have left. */
final class MemoryLimit {
  private final Workload workload;
  private final boolean askedFor;
  private final long taskBytes;
  private final boolean storedInMemory;

  MemoryLimit(Workload workload, AttentionConfig config, ExecutorMemory executors) {
    this.workload = workload;
    double stored = storedBytes(workload);
    this.askedFor = config.maxMemory().isPresent();
    this.taskBytes =
        config.maxMemory().orElse(executors.taskBytes(stored, workload.queryBlocks().size()));
    this.storedInMemory = executors.stores(stored);
  }

  /** Queries, keys, values and finished rows. */
  private static double storedBytes(Workload workload) {
    HeadLayout layout = workload.layout();
    double perQuery =
        (double) Float.BYTES * layout.numHeads() * (layout.keyDim() + layout.valueDim() + 1);
    return (double) workload.keyTokens() * workload.keyValueBytesPerToken()
        + workload.queryTokens() * perQuery;
  }

  /** What a task may hold. */
  long taskBytes() {
    return taskBytes;
  }

  /** Whether Spark's storage has room for all that the run stores. */
  boolean storedInMemory() {
    return storedInMemory;
  }

  /**
   * @throws InvalidInputException if even a turn of a single query block, or a task of an exchange
   *     that takes no turns, needs more
   */
  void check(Placement placement) {
    if (placement.taskBytes() <= taskBytes) {
      return;
    }
    boolean heads =
        placement.exchange() != ExchangeKind.HEADS && workload.layout().numKeyValueHeads() > 1;
    throw new InvalidInputException(
        "Cannot hold a task of exchange %s in %s (%s): it needs %s with %d tokens per block and %d heads; %s%s or lower %s"
            .formatted(
                placement.exchange(),
                AttentionPlan.megabytes(taskBytes),
                askedFor ? Key.MAX_MEMORY.option() : "what executors have left for each task",
                AttentionPlan.megabytes(placement.taskBytes()),
                workload.grid().blockTokens(),
                placement.headSlices().get(0).layout().numHeads(),
                askedFor
                    ? "raise " + Key.MAX_MEMORY.option()
                    : "give executors more memory or fewer cores",
                heads ? ", choose --exchange heads," : "",
                Key.BLOCK_TOKENS.option()));
  }

  /** Of the plan, for a person to read. */
  String summary(Placement placement) {
    String limit =
        taskBytes == Long.MAX_VALUE
            ? ""
            : " of %s (%s)"
                .formatted(
                    AttentionPlan.megabytes(taskBytes),
                    askedFor ? "asked for" : "left by the executors' storage");
    return "%s at most in each of %d tasks%s, %s%s"
        .formatted(
            AttentionPlan.megabytes(placement.taskBytes()),
            placement.tasks(),
            limit,
            turns(placement),
            storedInMemory ? "" : "; more than storage holds, the rest goes to disk");
  }

  private static String turns(Placement placement) {
    int turns = placement.turns();
    String passes = turns == 1 ? "one pass over the keys" : turns + " passes over the keys";
    if (placement.exchange() != ExchangeKind.HEADS) {
      return passes;
    }
    int slices = placement.headSlices().size();
    String idle =
        slices < placement.shards()
            ? "; %d of %d ranks have no heads, there are no more key/value heads"
                .formatted(placement.shards() - slices, placement.shards())
            : "";
    return "%d slices of heads, %s%s".formatted(slices, passes, idle);
  }
}

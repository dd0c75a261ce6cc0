package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.kernels.HeadLayout;

/**
 * What a run keeps in memory and how much that leaves to a task. Where Spark's storage has no room
 * for keys, values, queries and rows, the queries and rows, which are read once, live on disk;
 * where it has none for keys and values, these do, too. A task may hold what was asked for, or what
 * the executors' memory leaves.
 */
final class MemoryLimit {
  private final Workload workload;
  private final ExecutorMemory executors;
  private final boolean askedFor;
  private final long taskBytes;
  private final boolean keyValuesInMemory;
  private final boolean allInMemory;

  MemoryLimit(Workload workload, AttentionConfig config, ExecutorMemory executors) {
    this.workload = workload;
    this.executors = executors;
    double keyValues = (double) workload.keyTokens() * workload.keyValueBytesPerToken();
    double all = keyValues + queryBytes(workload);
    this.keyValuesInMemory = executors.stores(keyValues);
    this.allInMemory = executors.stores(all);
    double stored = allInMemory ? all : keyValuesInMemory ? keyValues : 0;
    this.askedFor = config.maxMemory().isPresent();
    this.taskBytes =
        config.maxMemory().orElse(executors.taskBytes(stored, workload.queryBlocks().size()));
  }

  /** Queries and finished rows. */
  private static double queryBytes(Workload workload) {
    HeadLayout layout = workload.layout();
    double perQuery =
        (double) Float.BYTES * layout.numHeads() * (layout.keyDim() + layout.valueDim() + 1);
    return workload.queryTokens() * perQuery;
  }

  /** Of fetched runs, what an executor keeps for its tasks. */
  long cacheBytes() {
    return executors.cacheBytes();
  }

  /** What a task may hold. */
  long taskBytes() {
    return taskBytes;
  }

  /** Whether Spark's storage has room for keys and values. */
  boolean keyValuesInMemory() {
    return keyValuesInMemory;
  }

  /** Whether it has room for queries and rows, too. */
  boolean allInMemory() {
    return allInMemory;
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
                askedFor ? Key.MAX_MEMORY.option() : "what executors have for each task",
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
                    askedFor ? "asked for" : "left by what is stored");
    return "%s at most in each of %d tasks%s, %s; %s"
        .formatted(
            AttentionPlan.megabytes(placement.taskBytes()),
            placement.tasks(),
            limit,
            turns(placement),
            stored());
  }

  private String stored() {
    if (allInMemory) {
      return "stored in memory";
    }
    return keyValuesInMemory
        ? "keys and values stored in memory, queries and rows on disk"
        : "stored on disk";
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

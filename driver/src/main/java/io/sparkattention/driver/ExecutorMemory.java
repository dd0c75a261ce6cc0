package io.sparkattention.driver;

import io.sparkattention.partitioning.ClusterFacts;

/**
 * The heap of an executor as Spark's unified memory divides it: 300 MiB are reserved, a fraction of
 * the rest is for stored blocks and shuffles, and what these leave is for tasks.
 *
 * @param heapBytes of one executor
 * @param fraction {@code spark.memory.fraction}
 * @param executors of the cluster; 1 inside one JVM
 * @param slots tasks that the cluster runs at once
 */
public record ExecutorMemory(long heapBytes, double fraction, int executors, int slots) {
  private static final long RESERVED_BYTES = 300L << 20;

  /** Of what is left, what may be full at once: the collector works in the rest. */
  private static final double FILLED = 0.9;

  /** Spark's default of {@code spark.memory.fraction}, by which a running heap is told, too. */
  private static final double STORAGE_SHARE = 0.6;

  /** Of the storage memory's size, for runs that an executor has fetched and may need again. */
  private static final int CACHE_SHARE = 8;

  /** An executor may store so many times its share. */
  private static final int UNEVEN = 2;

  /** Of a cluster. */
  static ExecutorMemory of(ClusterFacts facts) {
    return new ExecutorMemory(
        (long) facts.memoryBytes(), STORAGE_SHARE, facts.executors(), facts.slots());
  }

  /** Whether Spark's storage of all executors has room for so much. */
  boolean stores(double bytes) {
    return bytes <= storageBytes() * executors;
  }

  private double storageBytes() {
    return fraction * usable();
  }

  private double usable() {
    return Math.max(0, (double) heapBytes - RESERVED_BYTES);
  }

  /** Of fetched runs, what an executor keeps for its tasks; one alone fetches none. */
  long cacheBytes() {
    return executors == 1 ? 0 : (long) storageBytes() / CACHE_SHARE;
  }

  /**
   * What a task may hold beside what is stored, when all slots of an executor are busy.
   *
   * @param storedBytes what the run stores, on all executors
   * @param tasks of the run, which may be fewer than there are slots
   */
  long taskBytes(double storedBytes, int tasks) {
    double share = Math.min(storedBytes, UNEVEN * storedBytes / executors);
    double stored = Math.min(storageBytes(), share);
    int slotsOfOne = (slots + executors - 1) / executors;
    return (long)
        ((FILLED * (usable() - stored - cacheBytes())) / Math.max(1, Math.min(slotsOfOne, tasks)));
  }
}

package io.sparkattention.partitioning;

/** How much of a (query block, key block) pair a mask leaves visible. */
public enum Coverage {
  /** No query sees a key: the pair is never touched. */
  EMPTY,
  /** Every query sees every key: no test per element. */
  FULL,
  /** Some (query, key) pairs are visible. */
  PARTIAL
}

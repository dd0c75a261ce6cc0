package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.Cost;
import java.util.Optional;

/**
 * A way to place a workload, with what it is predicted to take.
 *
 * @param refusal why it cannot be taken, whatever its time; empty where it can
 */
public record Candidate(
    ExchangeKind exchange,
    BlockAssignment assignment,
    int shards,
    Cost cost,
    Optional<String> refusal) {

  /** The same, which cannot be taken. */
  Candidate refused(String reason) {
    return new Candidate(exchange, assignment, shards, cost, Optional.of(reason));
  }
}

package io.sparkattention.driver.exchange;

import io.sparkattention.kernels.AttentionState;
import io.sparkattention.partitioning.Block;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.TaskContext;

/** The queries of one task and the states that its keys and values are folded into. */
final class QueryStates {
  private final PairFold fold;
  private final TaskContext context;
  private final Map<Integer, List<PlacedQueries>> bySequence = new HashMap<>();
  private final Map<Block, AttentionState> states = new LinkedHashMap<>();

  QueryStates(PairFold fold, TaskContext context) {
    this.fold = fold;
    this.context = context;
  }

  void add(PlacedQueries queries) {
    bySequence
        .computeIfAbsent(queries.block().sequence(), sequence -> new ArrayList<>())
        .add(queries);
  }

  /** Folds keys and values into the states of all queries that see any of them. */
  void fold(PlacedKeyValues keys) {
    for (PlacedQueries q : bySequence.getOrDefault(keys.block().sequence(), List.of())) {
      if (fold.meets(q.block(), keys.block())) {
        context.killTaskIfInterrupted();
        fold.fold(q, keys, states.computeIfAbsent(q.block(), fold::emptyState));
      }
    }
  }

  /** Gives queries that saw no key here their empty state, so that they are in the result. */
  void addUnseen() {
    for (List<PlacedQueries> queries : bySequence.values()) {
      queries.forEach(q -> states.computeIfAbsent(q.block(), fold::emptyState));
    }
  }

  Map<Block, AttentionState> states() {
    return states;
  }
}

package io.sparkattention.driver.exchange;

import io.sparkattention.kernels.AttentionState;
import io.sparkattention.partitioning.Block;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.apache.spark.TaskContext;

/** The queries of one task and the states that its keys and values are folded into. */
final class QueryStates {
  private final PairFold fold;
  private final TaskContext context;
  private final Map<Integer, List<PlacedQueries>> bySequence = new HashMap<>();
  private final Map<Block, AttentionState> states = new LinkedHashMap<>();
  private final Set<Block> finished = new HashSet<>();

  /** A finished block's, for the next one: most of a state is memory that was never touched. */
  private AttentionState spare;

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
      if (!finished.contains(q.block()) && fold.meets(q.block(), keys.block())) {
        context.killTaskIfInterrupted();
        fold.fold(q, keys, states.computeIfAbsent(q.block(), this::emptyState));
      }
    }
  }

  /**
   * Folds all runs in the order of the visits; a state ends after the last visit in which its block
   * sees a key.
   *
   * @param lastVisits of each query block; −1 where it sees no key
   * @return the finished rows of all queries
   */
  List<AttentionRows> foldAll(RunPrefetcher runs, Map<Block, Integer> lastVisits) {
    List<AttentionRows> rows = new ArrayList<>();
    for (int visit = 0; runs.hasNext(); visit++) {
      runs.next().forEach(this::fold);
      int visited = visit;
      rows.addAll(finish(block -> lastVisits.get(block) <= visited));
    }
    addUnseen();
    rows.addAll(finish(block -> true));
    return rows;
  }

  /** Gives queries that saw no key here their empty state, so that they are in the result. */
  void addUnseen() {
    for (List<PlacedQueries> queries : bySequence.values()) {
      for (PlacedQueries q : queries) {
        if (!finished.contains(q.block())) {
          states.computeIfAbsent(q.block(), this::emptyState);
        }
      }
    }
  }

  private AttentionState emptyState(Block queries) {
    AttentionState state = spare;
    if (state == null || state.rows() != queries.tokens()) {
      return fold.emptyState(queries);
    }
    spare = null;
    state.clear();
    return state;
  }

  /** The rows of blocks that have seen all their keys; their states end. */
  List<AttentionRows> finish(Predicate<Block> complete) {
    List<AttentionRows> rows = new ArrayList<>();
    Iterator<Map.Entry<Block, AttentionState>> all = states.entrySet().iterator();
    while (all.hasNext()) {
      Map.Entry<Block, AttentionState> one = all.next();
      if (complete.test(one.getKey())) {
        rows.add(fold.finish(one.getKey(), one.getValue()));
        spare = one.getValue();
        finished.add(one.getKey());
        all.remove();
      }
    }
    return rows;
  }

  Map<Block, AttentionState> states() {
    return states;
  }
}

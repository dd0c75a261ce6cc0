package io.sparkattention.driver.exchange;

import io.sparkattention.kernels.AttentionState;
import io.sparkattention.partitioning.Block;
import java.util.Iterator;
import org.apache.spark.TaskContext;
import scala.Tuple2;

/**
 * What one task makes of the key blocks that come to it, one at a time, whole and in any order,
 * kept by nobody: states of all queries.
 */
public final class KeyValueFold {
  private final long start = System.currentTimeMillis();
  private final PairFold fold;
  private final QueryStates states;
  private final AttentionMeter meter;

  KeyValueFold(PairFold fold, PlacedQueries[] queries, AttentionMeter meter) {
    HeapPeak.watch();
    this.fold = fold;
    this.states = new QueryStates(fold, TaskContext.get());
    for (PlacedQueries q : queries) {
      states.add(q);
    }
    this.meter = meter;
  }

  /** Folds a block into the states of the queries that see any of its keys. */
  public void fold(PlacedKeyValues keys) {
    states.fold(keys);
  }

  /** The states of the query blocks that saw a key. Nothing is folded afterwards. */
  public Iterator<Tuple2<Block, AttentionState>> states() {
    TaskContext context = TaskContext.get();
    if (context.partitionId() == 0) {
      states.addUnseen();
    }
    long bytesMoved = context.taskMetrics().shuffleReadMetrics().remoteBytesRead();
    meter.add(start, bytesMoved, fold.countedPairs(), fold.times());
    return states.states().entrySet().stream()
        .map(state -> new Tuple2<>(state.getKey(), state.getValue()))
        .iterator();
  }
}

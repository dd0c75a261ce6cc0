package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.partitioning.Block;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.spark.Partitioner;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.executor.ShuffleReadMetrics;
import scala.Tuple2;
import scala.reflect.ClassTag$;

/**
 * The queries go to the key/value shards: the task of a shard folds its keys into a state of each
 * query block, and the states of a block meet in a shuffle, never on Spark's driver. Queries go in
 * {@link QueryBatches}, each with a task for each shard, so that a task holds the states of a batch
 * and the driver the queries of one.
 */
public final class ReduceExchange implements Exchange {
  /** The queries of the batches, until the rows are written. */
  private final List<Broadcast<?>> released = new ArrayList<>();

  @Override
  public JavaRDD<AttentionRows> attend(
      AttentionPlan plan,
      JavaRDD<PlacedQueries> queries,
      JavaRDD<PlacedKeyValues> keyValues,
      AttentionMeter meter) {
    QueryBatches batches = QueryBatches.of(plan.workload(), plan.placement());
    PairFold fold = PairFold.of(plan, keyValues);
    JavaRDD<PlacedKeyValues> shards = ShardCoalescer.shards(plan, keyValues);
    List<JavaRDD<Tuple2<Block, AttentionState>>> states = new ArrayList<>();
    for (int i = 0; i < batches.count(); i++) {
      Batch batch = batch(plan, batches, i, queries);
      states.add(
          shards.mapPartitionsWithIndex(
              (shard, runs) -> states(fold, batch, shard, runs, meter), false));
    }
    JavaSparkContext context = JavaSparkContext.fromSparkContext(queries.context());
    @SuppressWarnings({"unchecked", "rawtypes"})
    JavaRDD<Tuple2<Block, AttentionState>> all = context.union(states.toArray(JavaRDD[]::new));
    // A task has one state of each block: nothing could be combined before the shuffle.
    JavaRDD<AttentionRows> rows =
        JavaPairRDD.fromJavaRDD(all)
            .combineByKey(
                state -> state,
                (into, other) -> merge(into, other, meter),
                (into, other) -> merge(into, other, meter),
                new Parts(plan.queryBlocks(), batches),
                false,
                null)
            .mapPartitions(met -> finish(fold, met, meter));
    return new ExecutorNames(plan).placeInOrder(rows);
  }

  @Override
  public long broadcastBytes() {
    return BroadcastBytes.received(released);
  }

  @Override
  public void close() {
    released.forEach(Broadcast::destroy);
  }

  /**
   * Consecutive query blocks, whose states a task holds at once.
   *
   * @param queries in the order of the blocks
   * @param unseeing blocks that see no key anywhere
   */
  @SuppressWarnings("ArrayRecordComponent")
  private record Batch(Broadcast<PlacedQueries[]> queries, Block[] blocks, Block[] unseeing)
      implements java.io.Serializable {}

  private Batch batch(
      AttentionPlan plan, QueryBatches batches, int index, JavaRDD<PlacedQueries> queries) {
    List<Block> blocks = batches.blocks(plan.workload(), index);
    int first = batches.starts().get(index);
    int[] ofBlocks = plan.queryPartitions();
    int[] partitions =
        IntStream.range(first, first + blocks.size()).map(i -> ofBlocks[i]).distinct().toArray();
    List<PlacedQueries> collected = new ArrayList<>();
    for (List<PlacedQueries> partition : queries.collectPartitions(partitions)) {
      collected.addAll(partition);
    }
    // Serialized only: the driver itself never asks for the value, which it would keep as well.
    Broadcast<PlacedQueries[]> everywhere =
        queries
            .context()
            .broadcastInternal(
                collected.toArray(PlacedQueries[]::new),
                true,
                ClassTag$.MODULE$.apply(PlacedQueries[].class));
    released.add(everywhere);
    Block[] unseeing =
        IntStream.range(0, blocks.size())
            .filter(i -> plan.schedule().lastVisit(first + i) < 0)
            .mapToObj(blocks::get)
            .toArray(Block[]::new);
    return new Batch(everywhere, blocks.toArray(Block[]::new), unseeing);
  }

  private static Iterator<Tuple2<Block, AttentionState>> states(
      PairFold fold, Batch batch, int shard, Iterator<PlacedKeyValues> runs, AttentionMeter meter) {
    long start = System.currentTimeMillis();
    HeapPeak.watch();
    QueryStates states = new QueryStates(fold, TaskContext.get());
    boolean added = false;
    long fetchNanos = 0;
    for (long asked = System.nanoTime(); runs.hasNext(); asked = System.nanoTime()) {
      PlacedKeyValues keys = runs.next();
      fetchNanos += System.nanoTime() - asked;
      // An executor whose keys no query of the batch sees does not fetch it.
      if (!added && fold.meetsAny(batch.blocks, keys.block())) {
        List.of(batch.queries.value()).forEach(states::add);
        added = true;
      }
      states.fold(keys);
    }
    // Nothing is computed meanwhile: what is fetched is waited for.
    TimeSplit transfer = new TimeSplit(0, fetchNanos, fetchNanos, 0);
    meter.add(start, 0, fold.countedPairs(), fold.times().plus(transfer));
    List<Tuple2<Block, AttentionState>> result = new ArrayList<>();
    states.states().forEach((block, state) -> result.add(new Tuple2<>(block, state)));
    for (Block block : shard == 0 ? batch.unseeing : new Block[0]) {
      result.add(new Tuple2<>(block, fold.emptyState(block)));
    }
    return result.iterator();
  }

  static AttentionState merge(AttentionState into, AttentionState other, AttentionMeter meter) {
    long start = System.nanoTime();
    into.merge(other);
    TimeSplit times = new TimeSplit(0, 0, 0, System.nanoTime() - start);
    meter.add(AttentionMeter.Reading.withoutSpan(0, times));
    return into;
  }

  static Iterator<AttentionRows> finish(
      PairFold fold, Iterator<Tuple2<Block, AttentionState>> states, AttentionMeter meter) {
    long start = System.currentTimeMillis();
    List<AttentionRows> rows = new ArrayList<>();
    while (states.hasNext()) {
      Tuple2<Block, AttentionState> state = states.next();
      rows.add(fold.finish(state._1(), state._2()));
    }
    ShuffleReadMetrics read = TaskContext.get().taskMetrics().shuffleReadMetrics();
    long fetchNanos = TimeUnit.MILLISECONDS.toNanos(read.fetchWaitTime());
    TimeSplit transfer = new TimeSplit(0, fetchNanos, fetchNanos, 0);
    meter.add(start, read.remoteBytesRead(), 0, fold.times().plus(transfer));
    return rows.iterator();
  }

  /** The part of a query block in which its states meet. */
  private static final class Parts extends Partitioner {
    private static final long serialVersionUID = 1L;

    private final int count;
    private final Map<Block, Integer> ofBlock = new HashMap<>();

    Parts(List<Block> blocks, QueryBatches batches) {
      this.count = batches.partCount();
      for (int i = 0; i < blocks.size(); i++) {
        ofBlock.put(blocks.get(i), batches.parts()[i]);
      }
    }

    @Override
    public int numPartitions() {
      return count;
    }

    @Override
    public int getPartition(Object block) {
      return ofBlock.get(block);
    }
  }
}

package io.sparkattention.driver;

import io.sparkattention.driver.exchange.QueryBatches;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.Coverage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/**
 * The bytes that reach executors from other processes while attention is computed, as a placement
 * lets expect. It takes for granted:
 *
 * <ul>
 *   <li>Every executor has equally many shards, those that follow each other, and runs the ranks of
 *       the same numbers ({@link Placement#executor}): Spark found each place free within {@code
 *       spark.locality.wait}. No executor is lost.
 *   <li>Keys, values and queries are as long on the wire as they are packed: compression, where
 *       Spark compresses, wins nothing, and the few bytes around a block do not count.
 *   <li>States are compressed ({@code spark.shuffle.compress}, on by default): rows that saw no key
 *       take nothing, the others 13 bytes per element.
 *   <li>Ranks of one executor share what it fetched, if all of that fits its cache; else each
 *       fetches for itself, which is an upper bound.
 *   <li>Where a mask tensor or chosen blocks hide more than the mask, they hide no whole block.
 * </ul>
 *
 * <p>Not in it are what tasks and results take, the mean keys of block top-k, and the writing of
 * the rows.
 */
public final class Movement {
  /**
   * Of an element of a state, an int and two doubles: what lz4, Spark's default, leaves. Measured
   * 12.5 to 12.9 on unit-normal numbers under the full mask, causal and a window.
   */
  private static final int WIRE_STATE_BYTES = 13;

  /** Rows of a query block that are looked at together. */
  private static final int ROWS = 64;

  private final Workload workload;
  private final Placement placement;
  private final int executors;
  private final long cacheBytes;
  private final long bytes;
  private final long throughDriver;

  /**
   * Predicts what a placement moves on a cluster.
   *
   * @param cacheBytes the most bytes of fetched runs that an executor keeps for its tasks
   */
  public Movement(Workload workload, Placement placement, int executors, long cacheBytes) {
    this.workload = workload;
    this.placement = placement;
    this.executors = executors;
    this.cacheBytes = cacheBytes;
    boolean one = executors == 1;
    switch (placement.exchange()) {
      case RING -> {
        this.bytes = one ? 0 : ring();
        this.throughDriver = 0;
      }
      case BARRIER -> {
        this.bytes = one ? 0 : barrier();
        this.throughDriver = 0;
      }
      case BROADCAST -> {
        this.bytes = one ? 0 : broadcast();
        this.throughDriver = runBytes(visited(visitor -> true));
      }
      case REDUCE -> {
        this.bytes = one ? 0 : reduce();
        this.throughDriver = queryBytes(workload.queryBlocks());
      }
      default ->
          throw new IllegalArgumentException("No movement is known of " + placement.exchange());
    }
  }

  /** Bytes that reach executors; 0 where there is but one. */
  public long bytes() {
    return bytes;
  }

  /** Bytes that Spark's driver collects, to broadcast them. */
  public long throughDriver() {
    return throughDriver;
  }

  /** Each executor fetches what its ranks visit and it does not store. */
  private long ring() {
    long total = 0;
    for (int e = 0; e < executors; e++) {
      int executor = e;
      BitSet all = new BitSet();
      long apart = 0;
      for (int v = 0; v < placement.queryPartitionCount(); v++) {
        if (executorOf(v % placement.shards()) == executor) {
          BitSet remote = remote(v);
          all.or(remote);
          apart += runBytes(remote);
        }
      }
      long together = runBytes(all);
      total += together <= cacheBytes ? together : apart;
    }
    return total;
  }

  /** Each rank pulls for itself. */
  private long barrier() {
    return IntStream.range(0, placement.shards()).mapToLong(rank -> runBytes(remote(rank))).sum();
  }

  /** The runs that a visitor of the schedule visits and its executor does not store. */
  private BitSet remote(int visitor) {
    int executor = executorOf(visitor % placement.shards());
    BitSet remote = visited(other -> other == visitor);
    remote.stream()
        .filter(run -> executorOf(placement.runShards()[run]) == executor)
        .forEach(remote::clear);
    return remote;
  }

  /** Each executor receives what its ranks visit. */
  private long broadcast() {
    long total = 0;
    for (int e = 0; e < executors; e++) {
      int executor = e;
      total += runBytes(visited(v -> executorOf(v % placement.shards()) == executor));
    }
    return total;
  }

  private int executorOf(int shard) {
    return Placement.executor(shard, placement.shards(), executors);
  }

  /** The runs that any of some visitors of the schedule visits. */
  private BitSet visited(IntPredicate visitors) {
    BitSet visited = new BitSet();
    IntStream.range(0, placement.queryPartitionCount())
        .filter(visitors)
        .forEach(v -> Arrays.stream(placement.schedule().runs(v)).forEach(visited::set));
    return visited;
  }

  private long runBytes(BitSet runs) {
    return runs.stream()
        .mapToObj(placement.keyRuns()::get)
        .flatMap(List::stream)
        .mapToLong(
            keys -> KeyValueBlock.bytes(workload.layout(), keys.tokens(), workload.keyValueType()))
        .sum();
  }

  private long queryBytes(List<Block> queries) {
    return queries.stream()
        .mapToLong(block -> QueryBlock.bytes(workload.layout(), block.tokens()))
        .sum();
  }

  /**
   * Each batch of queries goes to the executors whose keys it sees, and the states of a block from
   * those to the one where they meet.
   */
  private long reduce() {
    QueryBatches batches = QueryBatches.of(workload, placement);
    List<List<Block>> shards = keysOfShards();
    long total = 0;
    for (int batch = 0; batch < batches.count(); batch++) {
      List<Block> blocks = batches.blocks(workload, batch);
      BitSet reached = new BitSet();
      for (int i = 0; i < blocks.size(); i++) {
        int meet =
            Placement.executor(
                batches.parts()[batches.starts().get(batch) + i], batches.partCount(), executors);
        for (int shard = 0; shard < shards.size(); shard++) {
          long rows = rowsThatSee(blocks.get(i), shards.get(shard));
          if (rows > 0) {
            reached.set(executorOf(shard));
            total += executorOf(shard) == meet ? 0 : stateBytes(rows);
          }
        }
      }
      total += reached.cardinality() * queryBytes(blocks);
    }
    return total;
  }

  private long stateBytes(long rows) {
    return QueryBatches.stateElements(workload.layout(), rows) * WIRE_STATE_BYTES;
  }

  /** [shards]: the keys of each, blocks that follow each other joined. */
  private List<List<Block>> keysOfShards() {
    List<List<Block>> shards = new ArrayList<>();
    for (int shard = 0; shard < placement.shards(); shard++) {
      shards.add(new ArrayList<>());
    }
    for (int run = 0; run < placement.runShards().length; run++) {
      List<Block> keys = shards.get(placement.runShards()[run]);
      for (Block block : placement.keyRuns().get(run)) {
        Block last = keys.isEmpty() ? null : keys.get(keys.size() - 1);
        if (last != null && last.sequence() == block.sequence() && last.end() == block.start()) {
          keys.set(keys.size() - 1, new Block(block.sequence(), last.start(), block.end()));
        } else {
          keys.add(block);
        }
      }
    }
    return shards;
  }

  /** Queries of a block that see any of the keys, but for a few more at the edges of the mask. */
  private long rowsThatSee(Block queries, List<Block> keys) {
    AttentionMask mask = workload.mask();
    long offset = workload.offsets()[queries.sequence()];
    List<Block> seen = new ArrayList<>();
    for (Block range : keys) {
      if (range.sequence() == queries.sequence()) {
        Coverage coverage = mask.coverage(queries, range, offset);
        if (coverage == Coverage.FULL) {
          return queries.tokens();
        }
        if (coverage == Coverage.PARTIAL && mask.visiblePairs(queries, range, offset) > 0) {
          seen.add(range);
        }
      }
    }
    if (seen.isEmpty() || queries.tokens() <= ROWS) {
      return seen.isEmpty() ? 0 : queries.tokens();
    }
    long middle = queries.start() + queries.tokens() / 2;
    return rowsThatSee(new Block(queries.sequence(), queries.start(), middle), seen)
        + rowsThatSee(new Block(queries.sequence(), middle, queries.end()), seen);
  }
}

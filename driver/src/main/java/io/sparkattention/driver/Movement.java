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

/**
 * The bytes that reach executors from other processes while attention is computed, as a placement
 * lets expect. It takes for granted:
 *
 * <ul>
 *   <li>Every executor has equally many shards, those that follow each other, and runs the ranks of
 *       the same numbers ({@link Cluster#executor}): Spark found each place free within {@code
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
  private final Cluster cluster;
  private final long bytes;
  private final long throughDriver;

  /** Predicts what a placement moves on a cluster. */
  public Movement(Workload workload, Placement placement, Cluster cluster) {
    this.workload = workload;
    this.placement = placement;
    this.cluster = cluster;
    boolean one = cluster.executors() == 1;
    switch (placement.exchange()) {
      case RING -> {
        this.bytes = one ? 0 : ring();
        this.throughDriver = 0;
      }
      case BROADCAST -> {
        this.bytes = one ? 0 : broadcast();
        this.throughDriver = runBytes(visited(0, placement.shards()));
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
    for (int e = 0; e < cluster.executors(); e++) {
      int executor = e;
      BitSet all = new BitSet();
      long apart = 0;
      for (int rank = 0; rank < placement.shards(); rank++) {
        if (executorOf(rank) == executor) {
          BitSet remote = visited(rank, rank + 1);
          remote.stream()
              .filter(run -> executorOf(placement.runShards()[run]) == executor)
              .forEach(remote::clear);
          all.or(remote);
          apart += runBytes(remote);
        }
      }
      long together = runBytes(all);
      total += together <= cluster.cacheBytes() ? together : apart;
    }
    return total;
  }

  /** Each executor receives what its ranks visit. */
  private long broadcast() {
    long total = 0;
    int from = 0;
    for (int rank = 1; rank <= placement.shards(); rank++) {
      if (rank == placement.shards() || executorOf(rank) != executorOf(from)) {
        total += runBytes(visited(from, rank));
        from = rank;
      }
    }
    return total;
  }

  private int executorOf(int shard) {
    return cluster.executor(shard, placement.shards());
  }

  /** The runs that any of the ranks [from, to) visits. */
  private BitSet visited(int from, int to) {
    BitSet visited = new BitSet();
    for (int rank = from; rank < to; rank++) {
      Arrays.stream(placement.schedule().runs(rank)).forEach(visited::set);
    }
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
    QueryBatches batches = QueryBatches.of(workload, placement.shards(), cluster);
    List<List<Block>> shards = keysOfShards();
    long total = 0;
    for (int batch = 0; batch < batches.count(); batch++) {
      List<Block> blocks = batches.blocks(workload, batch);
      BitSet reached = new BitSet();
      for (int i = 0; i < blocks.size(); i++) {
        int meet =
            cluster.executor(batches.parts()[batches.starts().get(batch) + i], batches.partCount());
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

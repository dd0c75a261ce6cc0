package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.HeadSlice;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.KeyVisitors;
import io.sparkattention.partitioning.RingSchedule;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/**
 * Where a workload is computed: the owner of each block under an exchange, an assignment and a
 * number of shards. No result depends on it, only time, memory and what moves.
 */
public final class Placement {
  /** Bytes of keys and values in one partition of their RDD, the unit that is fetched. */
  private static final long RUN_BYTES = 16L << 20;

  /** A fetch of less takes about as long for being one as for its bytes. */
  private static final long MIN_RUN_BYTES = 256L << 10;

  private final Workload workload;
  private final ExchangeKind exchange;
  private final BlockAssignment assignment;
  private final int shards;
  private final int[] queryRanks;
  private final Turns turns;
  private final List<HeadSlice> headSlices;
  private final List<List<Block>> keyRuns;
  private final int[] runShards;
  private final RingSchedule schedule;
  private final double skew;

  /**
   * Places the blocks of a workload.
   *
   * @param given its query blocks are cut where ranks own them, balanced, and some are heavy
   * @param exchange any but AUTO
   * @param maxTaskBytes what a task may hold in memory; see {@link #taskBytes}
   */
  public Placement(
      Workload given,
      ExchangeKind exchange,
      BlockAssignment assignment,
      int shards,
      long maxTaskBytes) {
    boolean ranksOwnQueries = exchange != ExchangeKind.REDUCE && exchange != ExchangeKind.HEADS;
    boolean cut = ranksOwnQueries && assignment == BlockAssignment.BALANCED;
    this.workload = cut ? given.cutFor(shards) : given;
    this.exchange = exchange;
    this.assignment = assignment;
    this.shards = shards;
    List<Block> keyBlocks = workload.keyBlocks();
    int[] keyShards;
    // What all visit alike.
    long[] visitors = new long[keyBlocks.size()];
    if (exchange == ExchangeKind.REDUCE) {
      keyShards = assignment.ranks(workload.keyWork(), shards);
      this.queryRanks = BlockAssignment.CONTIGUOUS.ranks(workload.queryWork(), shards);
    } else {
      // The work of a rank is that of its queries; key blocks stay in order for long fetches.
      keyShards = BlockAssignment.CONTIGUOUS.ranks(new long[keyBlocks.size()], shards);
      this.queryRanks = assignment.ranks(workload.queryWork(), shards);
      // In one shard a rank may see some blocks and not others: all of one run are fetched.
      visitors =
          KeyVisitors.of(
              workload.mask(),
              workload.offsets(),
              workload.queryBlocks(),
              queryRanks,
              keyBlocks,
              shards);
    }
    this.keyRuns =
        RingSchedule.runs(
            keyBlocks,
            keyShards,
            visitors,
            maxRunTokens(workload),
            MIN_RUN_BYTES / workload.keyValueBytesPerToken());
    this.runShards = RingSchedule.runShards(keyRuns, keyShards);
    this.headSlices = headSlices(workload, maxTaskBytes);
    this.turns = turns(workload, headSlices, maxTaskBytes);
    this.schedule = schedule(workload);
    this.skew = skew(workload, keyShards);
  }

  /**
   * All heads for every rank, but under {@code heads}: one slice for each rank, as far as there are
   * key/value heads, or more where a task could not hold all queries else.
   */
  private List<HeadSlice> headSlices(Workload workload, long maxTaskBytes) {
    HeadLayout layout = workload.layout();
    if (exchange != ExchangeKind.HEADS) {
      return List.of(HeadSlice.whole(layout));
    }
    int all = layout.numKeyValueHeads();
    int count = Math.min(shards, all);
    while (count < all && turns(workload, HeadSlice.cut(layout, count), maxTaskBytes).count() > 1) {
      int largest = (all + count - 1) / count;
      count = (all + largest - 2) / (largest - 1);
    }
    return HeadSlice.cut(layout, count);
  }

  private Turns turns(Workload workload, List<HeadSlice> slices, long maxTaskBytes) {
    HeadSlice largest =
        Collections.max(slices, Comparator.comparingInt(HeadSlice::numKeyValueHeads));
    TaskMemory memory = new TaskMemory(workload, keyRuns, largest);
    List<Block> blocks = workload.queryBlocks();
    int[] together = new int[blocks.size()];
    return switch (exchange) {
      // All queries meet each slice, or shard, a batch of them at a time.
      case HEADS, REDUCE -> Turns.cut(memory, blocks, together, 1, maxTaskBytes);
      // All ranks run at once, and once.
      case BARRIER -> Turns.cut(memory, blocks, queryRanks, shards, Long.MAX_VALUE);
      default -> Turns.cut(memory, blocks, queryRanks, shards, maxTaskBytes);
    };
  }

  /** Under {@code heads} each slice visits all runs, one after the other, in each turn. */
  private RingSchedule schedule(Workload workload) {
    boolean ofHeads = exchange == ExchangeKind.HEADS;
    return new RingSchedule(
        workload.mask(),
        workload.offsets(),
        workload.queryBlocks(),
        visitors(),
        keyRuns,
        ofHeads ? new int[runShards.length] : runShards,
        ofHeads ? 1 : shards);
  }

  private double skew(Workload workload, int[] keyShards) {
    return switch (exchange) {
      case REDUCE -> maxOverMean(workload.keyWork(), keyShards, shards);
      case HEADS -> {
        int[] owners = new int[headSlices.size()];
        Arrays.setAll(owners, slice -> slice % shards);
        yield maxOverMean(
            headSlices.stream().mapToLong(HeadSlice::numKeyValueHeads).toArray(), owners, shards);
      }
      default -> maxOverMean(workload.queryWork(), queryRanks, shards);
    };
  }

  /** The most tokens that one fetch brings. */
  static long maxRunTokens(Workload workload) {
    return Math.max(1, RUN_BYTES / workload.keyValueBytesPerToken());
  }

  /**
   * Which of the executors has a part of what is cut in equal parts, in their order: shards that
   * follow each other lie together.
   */
  public static int executor(int part, int parts, int executors) {
    return (int) ((long) part * executors / parts);
  }

  private static double maxOverMean(long[] work, int[] owners, int shards) {
    double[] perRank = new double[shards];
    for (int i = 0; i < work.length; i++) {
      perRank[owners[i]] += work[i];
    }
    double sum = Arrays.stream(perRank).sum();
    return sum == 0 ? 1 : Arrays.stream(perRank).max().orElseThrow() * shards / sum;
  }

  /** What is placed: the given workload, its heavy query blocks cut. */
  public Workload workload() {
    return workload;
  }

  public ExchangeKind exchange() {
    return exchange;
  }

  public BlockAssignment assignment() {
    return assignment;
  }

  public int shards() {
    return shards;
  }

  /** [queryBlocks]: the rank that owns each; not a copy. */
  public int[] queryRanks() {
    return queryRanks;
  }

  /**
   * The heads that one task computes: all of them, but under {@code heads}. A task of slice s in
   * turn t has the number t · slices + s.
   */
  public List<HeadSlice> headSlices() {
    return headSlices;
  }

  /** How often each rank passes over the keys, with other query blocks each time. */
  public int turns() {
    return turns.count();
  }

  /** [queryBlocks]: the turn of each, from 0; not a copy. */
  public int[] turnsOfBlocks() {
    return turns.ofBlocks();
  }

  /** [queryBlocks]: the partition of the queries' RDD, turn · shards + rank. */
  public int[] queryPartitions() {
    int[] partitions = new int[queryRanks.length];
    Arrays.setAll(partitions, i -> turns.ofBlocks()[i] * shards + queryRanks[i]);
    return partitions;
  }

  /**
   * [queryBlocks]: the visitor of the schedule that each is part of; under {@code heads} its turn.
   */
  public int[] visitors() {
    return exchange == ExchangeKind.HEADS ? turns.ofBlocks() : queryPartitions();
  }

  /** Partitions of the queries' RDD. */
  public int queryPartitionCount() {
    return Math.multiplyExact(turns.count(), shards);
  }

  /** Tasks that compute attention. */
  public int tasks() {
    return exchange == ExchangeKind.HEADS
        ? Math.multiplyExact(turns.count(), headSlices.size())
        : queryPartitionCount();
  }

  /** The memory that a task needs at most, in bytes; {@link TaskMemory} has the formula. */
  public long taskBytes() {
    return turns.taskBytes();
  }

  /** The partitions of the key/value RDD: consecutive key blocks of one shard. */
  public List<List<Block>> keyRuns() {
    return keyRuns;
  }

  /** [keyRuns]: the shard of each; not a copy. */
  public int[] runShards() {
    return runShards;
  }

  public RingSchedule schedule() {
    return schedule;
  }

  /** The largest work of a rank over the mean. */
  public double skewMaxOverMean() {
    return skew;
  }
}

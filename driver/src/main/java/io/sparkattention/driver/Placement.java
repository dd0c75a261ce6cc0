package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.KeyVisitors;
import io.sparkattention.partitioning.RingSchedule;
import java.util.Arrays;
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

  private final ExchangeKind exchange;
  private final BlockAssignment assignment;
  private final int shards;
  private final int[] queryRanks;
  private final List<List<Block>> keyRuns;
  private final int[] runShards;
  private final RingSchedule schedule;
  private final double skew;

  /**
   * Places the blocks of a workload.
   *
   * @param exchange any but AUTO
   */
  public Placement(
      Workload workload, ExchangeKind exchange, BlockAssignment assignment, int shards) {
    this.exchange = exchange;
    this.assignment = assignment;
    this.shards = shards;
    List<Block> keyBlocks = workload.keyBlocks();
    int[] keyShards;
    // In one shard the same ranks may see some blocks and not others: all of one run are fetched.
    long[] visitors = new long[keyBlocks.size()];
    if (exchange == ExchangeKind.REDUCE) {
      long[] keyWork = workload.keyWork();
      keyShards = assignment.ranks(keyWork, shards);
      this.queryRanks = BlockAssignment.CONTIGUOUS.ranks(workload.queryWork(), shards);
      this.skew = maxOverMean(keyWork, keyShards, shards);
    } else {
      // The work of a rank is that of its queries; key blocks stay in order for long fetches.
      keyShards = BlockAssignment.CONTIGUOUS.ranks(new long[keyBlocks.size()], shards);
      this.queryRanks = assignment.ranks(workload.queryWork(), shards);
      this.skew = maxOverMean(workload.queryWork(), queryRanks, shards);
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
    this.schedule =
        new RingSchedule(
            workload.mask(),
            workload.offsets(),
            workload.queryBlocks(),
            queryRanks,
            keyRuns,
            runShards,
            shards);
  }

  /** The most tokens that one fetch brings. */
  static long maxRunTokens(Workload workload) {
    return Math.max(1, RUN_BYTES / workload.keyValueBytesPerToken());
  }

  /** The skew of a placement, before it is made: the largest work of a rank over the mean. */
  static double skew(
      Workload workload, ExchangeKind exchange, BlockAssignment assignment, int shards) {
    long[] work = exchange == ExchangeKind.REDUCE ? workload.keyWork() : workload.queryWork();
    return maxOverMean(work, assignment.ranks(work, shards), shards);
  }

  private static double maxOverMean(long[] work, int[] owners, int shards) {
    double[] perRank = new double[shards];
    for (int i = 0; i < work.length; i++) {
      perRank[owners[i]] += work[i];
    }
    double sum = Arrays.stream(perRank).sum();
    return sum == 0 ? 1 : Arrays.stream(perRank).max().orElseThrow() * shards / sum;
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

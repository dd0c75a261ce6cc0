package io.sparkattention.partitioning;

import io.sparkattention.partitioning.ClusterFacts.Fact;
import java.util.Arrays;

/**
 * Predicts time, bytes and memory of each exchange on a cluster. One formula for each thing that
 * takes time, in closed form; the work of the ranks comes from a {@link WorkProfile}. A compiled
 * JVM is assumed: warm-up is not in it.
 */
public final class CostModel {
  /** The unit of the key/value RDD that is fetched; two are in a task's memory, one on its way. */
  private static final int RUNS_IN_MEMORY = 3;

  /** Spark keeps 300 MB of a heap for itself and 0.6 of the rest for storage and shuffles. */
  private static final double RESERVED_BYTES = 300e6;

  private static final double STORAGE_SHARE = 0.6;

  private static final double FILLED = 0.9;

  private final ClusterFacts facts;
  private final HeadSizes heads;
  private final double queries;
  private final double keys;
  private final double runTokens;

  /** Of a task, at most; and the queries that it computes in one turn at least. */
  private final double taskLimit;

  private final double leastRows;

  /**
   * The model of a workload on a cluster.
   *
   * @param queries of all sequences
   * @param keys of all sequences
   * @param runTokens the most keys that one fetch brings
   */
  public CostModel(
      ClusterFacts facts, HeadSizes heads, double queries, double keys, double runTokens) {
    this(facts, heads, queries, keys, runTokens, new TaskLimit(Double.MAX_VALUE, 1));
  }

  private record TaskLimit(double bytes, double leastRows) {}

  private CostModel(
      ClusterFacts facts,
      HeadSizes heads,
      double queries,
      double keys,
      double runTokens,
      TaskLimit limit) {
    this.taskLimit = limit.bytes;
    this.leastRows = limit.leastRows;
    this.facts = facts;
    this.heads = heads;
    this.queries = queries;
    this.keys = keys;
    this.runTokens = Math.max(1, Math.min(runTokens, keys));
  }

  /**
   * The model where tasks may hold so much: a rank whose queries and states need more takes turns,
   * and reads the keys anew in each.
   *
   * @param leastRows queries that cannot be parted: those of the largest block
   */
  public CostModel limitedTo(double taskBytes, double leastRows) {
    return new CostModel(
        facts, heads, queries, keys, runTokens, new TaskLimit(taskBytes, leastRows));
  }

  /**
   * The kernel's time for a task's work: multiply-adds at the rate of large products; the softmax,
   * by scores; masks, by scores; merges into states, by leaves; states' begin and end, by rows. A
   * few queries go as fast as their keys and values are read.
   */
  public double foldSeconds(RankWork work) {
    return foldSeconds(work, heads);
  }

  private double foldSeconds(RankWork work, HeadSizes heads) {
    double score = heads.flopsPerScore() / facts.si(Fact.MULTIPLY_ADDS) + facts.si(Fact.SCORE);
    double scores =
        work.computedScores() * score + work.maskedScores() * facts.si(Fact.MASKED_SCORE);
    double computed = heads.numHeads() * scores;
    double streamed = work.streamedKeys() * heads.keyValueBytesPerToken() / facts.si(Fact.STREAM);
    double merged = work.leaves() * heads.outputsPerToken() * facts.si(Fact.LEAF);
    double finished = work.rows() * heads.outputsPerToken() * facts.si(Fact.ROW);
    return (Math.max(computed, streamed) + merged + finished) / facts.get(Fact.TASK_CPUS);
  }

  /**
   * The time that a task waits for blocks which it fetches one after another and works on none
   * meanwhile: the others' own latency, and an executor's network shared by its tasks.
   *
   * @param bytes of keys and values that it reads, wherever they are
   * @param tasksAtOnce on its executor
   */
  public double fetchSeconds(double bytes, double fetches, double tasksAtOnce) {
    double remote = remoteShare();
    double network =
        remote * (fetches * facts.si(Fact.LATENCY) + bytes * tasksAtOnce / facts.si(Fact.NETWORK));
    double disk = spilledShare() * bytes * tasksAtOnce / facts.si(Fact.STORAGE);
    return network + disk;
  }

  /** Of what a task reads the part that another executor holds: nothing says which one holds it. */
  public double remoteShare() {
    return 1 - 1.0 / facts.executors();
  }

  /** Of the packed blocks the part that does not fit the storage memory and lies on local disks. */
  public double spilledShare() {
    return Math.max(0, 1 - storageBytes() / storedBytes());
  }

  /** Packed blocks and finished rows that an executor keeps. */
  private double storedBytes() {
    double all =
        keys * heads.keyValueBytesPerToken()
            + queries * (heads.queryBytesPerToken() + heads.rowBytesPerToken());
    return all / facts.executors();
  }

  private double storageBytes() {
    return STORAGE_SHARE * usableBytes();
  }

  private double usableBytes() {
    return Math.max(0, facts.memoryBytes() - RESERVED_BYTES);
  }

  /**
   * Bytes that a task may take: what the stored blocks leave, shared by the tasks of an executor,
   * with room for the garbage collector.
   */
  public double taskMemoryLimit() {
    double rest = usableBytes() - Math.min(storedBytes(), storageBytes());
    return FILLED * rest / facts.slotsPerExecutor();
  }

  /** Time of a task to write bytes to a shuffle, or to read what is on its own executor. */
  private double shuffleSeconds(double bytes) {
    return bytes / facts.si(Fact.SHUFFLE);
  }

  /**
   * Sent to all executors by Spark's driver: collected, serialised, and read by each from the
   * others as from the driver, so that twice the bytes pass a link whatever the executors.
   */
  public double broadcastSeconds(double bytes) {
    double network = facts.executors() == 1 ? 0 : 2 * bytes / facts.si(Fact.NETWORK);
    return 2 * shuffleSeconds(bytes) + network;
  }

  private double broadcastBytes(double bytes) {
    return facts.executors() == 1 ? 0 : bytes * facts.executors();
  }

  private double tasksAtOnce(int tasks) {
    double perExecutor = Math.ceil((double) tasks / facts.executors());
    return Math.min(facts.slotsPerExecutor(), perExecutor);
  }

  /** Keys and values come to the queries: the next run is fetched while one is folded. */
  public Cost ring(RankWork[] work, RankVisits[] visits) {
    return ring(work, visits, taskMemory(work, heads, taskLimit));
  }

  private Cost ring(RankWork[] work, RankVisits[] visits, TaskMemory memory) {
    int turns = memory.turns;
    TaskTime[] tasks = new TaskTime[work.length * turns];
    double bytes = 0;
    for (int rank = 0; rank < work.length; rank++) {
      double read = visits[rank].tokens() * heads.keyValueBytesPerToken();
      double fetch = fetchSeconds(read, visits[rank].runs(), tasksAtOnce(tasks.length));
      double fold = foldSeconds(work[rank]) / turns;
      TaskTime one =
          new TaskTime(fold, exposed(fetch, fold, visits[rank].runs()), taskSeconds());
      for (int turn = 0; turn < turns; turn++) {
        tasks[turn * work.length + rank] = one;
      }
      bytes += read * turns * remoteShare();
    }
    return cost(tasks, work, bytes, memory.bytes);
  }

  private record TaskMemory(double bytes, int turns) {}

  /**
   * The runs in memory, and queries, states and rows: of as many queries at a time as the limit
   * lets in.
   */
  private TaskMemory taskMemory(RankWork[] work, HeadSizes heads, double limit) {
    double standing = RUNS_IN_MEMORY * runTokens * heads.keyValueBytesPerToken();
    double perRow =
        heads.queryBytesPerToken() + heads.stateBytesPerToken() + heads.rowBytesPerToken();
    double rows = Arrays.stream(work).mapToDouble(RankWork::rows).max().orElse(0);
    double atOnce = Math.max(leastRows, (limit - standing) / perRow);
    int turns = (int) Math.max(1, Math.ceil(rows / atOnce));
    return new TaskMemory(standing + Math.min(rows, Math.max(leastRows, rows / turns)) * perRow, turns);
  }

  /** Nothing hides the first fetch; the others hide behind the folds of all runs but the last. */
  private static double exposed(double fetch, double fold, long runs) {
    if (runs == 0) {
      return 0;
    }
    double first = fetch / runs;
    return first + Math.max(0, (fetch - first) - fold * (runs - 1) / runs);
  }

  /** As {@link #ring}, all ranks at once, who find each other first; rows end in a shuffle. */
  public Cost barrier(RankWork[] work, RankVisits[] visits) {
    double shuffled = queries * heads.rowBytesPerToken();
    double perTask = shuffled / work.length;
    double network = perTask * remoteShare() / facts.si(Fact.NETWORK) * tasksAtOnce(work.length);
    return ring(work, visits, taskMemory(work, heads, Double.MAX_VALUE))
        .plus(
            0,
            2 * shuffleSeconds(perTask) + network,
            facts.si(Fact.RENDEZVOUS) + facts.si(Fact.STAGE) + taskSeconds(),
            shuffled * remoteShare());
  }

  /** All keys and values are sent to every executor; then no task waits for any. */
  public Cost broadcast(RankWork[] work) {
    double bytes = keys * heads.keyValueBytesPerToken();
    TaskMemory memory = taskMemory(work, heads, taskLimit - bytes / facts.slotsPerExecutor());
    TaskTime[] tasks = new TaskTime[work.length * memory.turns];
    for (int i = 0; i < tasks.length; i++) {
      double fold = foldSeconds(work[i % work.length]) / memory.turns;
      tasks[i] = new TaskTime(fold, 0, taskSeconds());
    }
    double perTask = memory.bytes + bytes / facts.slotsPerExecutor();
    return cost(tasks, work, broadcastBytes(bytes), perTask)
        .plus(broadcastSeconds(bytes), 0, 0, 0);
  }

  /**
   * The queries are sent to every executor; the states of each shard of keys meet in a shuffle.
   *
   * @param work of the owners of keys, with the queries that each has states of as its rows
   */
  public Cost reduce(RankWork[] work) {
    double sent = queries * heads.queryBytesPerToken();
    TaskTime[] tasks = new TaskTime[work.length];
    double states = 0;
    for (int rank = 0; rank < tasks.length; rank++) {
      double written = work[rank].rows() * heads.stateBytesPerToken();
      states += written;
      // A shard's runs are read one after another, each before it is folded.
      double read = keys * heads.keyValueBytesPerToken() / tasks.length;
      double runs = Math.ceil(keys / runTokens / tasks.length);
      double fetch = fetchSeconds(read, runs, tasksAtOnce(tasks.length));
      tasks[rank] =
          new TaskTime(foldSeconds(work[rank]), fetch + shuffleSeconds(written), taskSeconds());
    }
    double merge = states / Math.min(tasks.length, facts.slots());
    double network = merge * remoteShare() * tasksAtOnce(tasks.length) / facts.si(Fact.NETWORK);
    double waves = Math.ceil((double) tasks.length / facts.slots());
    double rows = Arrays.stream(work).mapToDouble(RankWork::rows).max().orElse(0);
    double taskBytes =
        rows * heads.stateBytesPerToken()
            + sent / facts.slotsPerExecutor()
            + RUNS_IN_MEMORY * runTokens * heads.keyValueBytesPerToken();
    double moved =
        broadcastBytes(sent) + (states + keys * heads.keyValueBytesPerToken()) * remoteShare();
    return cost(tasks, work, moved, taskBytes)
        .plus(
            broadcastSeconds(sent),
            shuffleSeconds(merge) + network,
            facts.si(Fact.STAGE) + waves * taskSeconds(),
            0);
  }

  /**
   * Two shuffles: every task gets all tokens of some heads, and the rows go back to their order.
   *
   * @param all the work of all ranks
   * @param groups of key/value heads, as many as tasks
   */
  public Cost heads(RankWork all, int groups) {
    HeadSizes group = heads.group(groups);
    double in = keys * heads.keyValueBytesPerToken() + queries * heads.queryBytesPerToken();
    double out = queries * heads.rowBytesPerToken();
    double perTask = (in + out) / Math.min(groups, facts.slots());
    double network = perTask * remoteShare() * tasksAtOnce(groups) / facts.si(Fact.NETWORK);
    TaskMemory memory = taskMemory(new RankWork[] {all}, group, taskLimit);
    TaskTime[] tasks = new TaskTime[groups * memory.turns];
    double fold = foldSeconds(all, group) / memory.turns;
    Arrays.fill(tasks, new TaskTime(fold, 0, taskSeconds()));
    RankWork[] work = new RankWork[groups];
    Arrays.fill(work, all.over(groups));
    return cost(tasks, work, (in + out) * remoteShare(), memory.bytes)
        .plus(
            0,
            // Written and read.
            2 * shuffleSeconds(perTask) + network,
            2 * (facts.si(Fact.STAGE) + taskSeconds()),
            0);
  }

  private double taskSeconds() {
    return facts.si(Fact.TASK);
  }

  private Cost cost(TaskTime[] tasks, RankWork[] work, double bytes, double taskBytes) {
    TaskTime last = TaskTime.lastSlot(tasks, facts.slots());
    double max = Arrays.stream(work).mapToDouble(RankWork::visiblePairs).max().orElse(0);
    double mean = Arrays.stream(work).mapToDouble(RankWork::visiblePairs).average().orElse(0);
    return new Cost(
        0,
        last.compute(),
        last.exposed(),
        last.overhead(),
        bytes,
        taskBytes,
        mean == 0 ? 1 : max / mean);
  }
}

package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.InvalidInputException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.spark.HashPartitioner;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.executor.ShuffleReadMetrics;
import org.apache.spark.rdd.RDD;
import org.apache.spark.util.Utils;
import scala.Tuple2;
import scala.reflect.ClassTag;
import scala.reflect.ClassTag$;

/**
 * The keys and values go to the queries, in ring order, from task to task: all ranks run at once,
 * in a barrier stage, and pull the runs that they visit from the ranks that own them. A shuffle
 * behind the stage makes Spark run it again where an executor is lost, which it does not do for the
 * last stage of a job.
 */
public final class BarrierExchange implements Exchange {
  /** At Spark's driver, until the rows are written; null before. */
  private Rendezvous rendezvous;

  /**
   * Refuses what a barrier stage cannot run in, before anything is read.
   *
   * @throws InvalidInputException if the cluster has fewer task slots than the plan has shards, or
   *     executors come and go
   */
  public static void check(AttentionPlan plan, SparkContext context) {
    if (Utils.isDynamicAllocationEnabled(context.conf())) {
      throw new InvalidInputException(
          "Cannot use exchange 'barrier' where executors come and go: found spark.dynamicAllocation.enabled=true, expected false; switch it off or use --exchange ring");
    }
    int slots = awaitSlots(plan.shards(), context);
    if (plan.shards() > slots) {
      throw new InvalidInputException(
          "Cannot run %d shards at once by exchange 'barrier': need %d, have %d task slots; lower --shards, add executors or use --exchange ring"
              .formatted(plan.shards(), plan.shards(), slots));
    }
  }

  /**
   * Task slots, once there are enough or a young application's executors had the time to come that
   * Spark gives them.
   */
  private static int awaitSlots(int needed, SparkContext context) {
    long until =
        context.startTime()
            + context
                .conf()
                .getTimeAsMs("spark.scheduler.maxRegisteredResourcesWaitingTime", "30s");
    while (slots(context) < needed && !context.isLocal() && System.currentTimeMillis() < until) {
      try {
        TimeUnit.MILLISECONDS.sleep(TaskThread.POLL_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        break;
      }
    }
    return slots(context);
  }

  /** Tasks that run at once on the executors that are there. */
  private static int slots(SparkContext context) {
    return context.maxNumConcurrentTasks(context.resourceProfileManager().defaultResourceProfile());
  }

  /** A rank's runs are computed, and stay, where the rank will be. */
  @Override
  public JavaRDD<PlacedKeyValues> owners(AttentionPlan plan, JavaRDD<PlacedKeyValues> keyValues) {
    return ShardCoalescer.shards(plan, keyValues);
  }

  @Override
  public JavaRDD<AttentionRows> attend(
      AttentionPlan plan,
      JavaRDD<PlacedQueries> queries,
      JavaRDD<PlacedKeyValues> keyValues,
      AttentionMeter meter) {
    SparkContext context = queries.context();
    check(plan, context);
    rendezvous = new Rendezvous(SparkEnv.get().rpcEnv(), plan.shards());
    int executors = Math.max(1, context.getExecutorMemoryStatus().size() - 1);
    BarrierRanks ranks =
        new BarrierRanks(
            plan, queries.rdd(), keyValues.rdd(), (slots(context) + executors - 1) / executors);
    RankAttention attention =
        new RankAttention(
            queries.rdd(),
            keyValues.rdd(),
            PairFold.of(plan, keyValues),
            rendezvous.name(),
            new RunSecret());
    RDD<Tuple2<Integer, RankResult>> results =
        ranks.barrier().mapPartitions(attention, false, tag(Tuple2.class));
    JavaRDD<AttentionRows> rows =
        JavaPairRDD.fromRDD(results, tag(Integer.class), tag(RankResult.class))
            .partitionBy(new HashPartitioner(plan.shards()))
            .values()
            .mapPartitions(ofRank -> rows(ofRank, meter));
    // A rank's rows end where it ran: the shuffle is there for the retry, not to move them.
    return new ExecutorNames(plan).placeInOrder(rows);
  }

  @SuppressWarnings("unchecked") // Scala knows classes without their type arguments
  private static <T> ClassTag<T> tag(Class<? super T> type) {
    return (ClassTag<T>) ClassTag$.MODULE$.apply(type);
  }

  /** Runs in an ordinary task, whose failure Spark hands on as it was thrown. */
  private static Iterator<AttentionRows> rows(Iterator<RankResult> results, AttentionMeter meter) {
    long start = System.currentTimeMillis();
    List<AttentionRows> rows = new ArrayList<>();
    while (results.hasNext()) {
      RankResult result = results.next();
      if (result instanceof AttentionRows finished) {
        rows.add(finished);
      } else if (result instanceof RankSummary summary) {
        if (!summary.refusal().isEmpty()) {
          throw new InvalidInputException(summary.refusal());
        }
        meter.add(summary.reading());
      }
    }
    ShuffleReadMetrics read = TaskContext.get().taskMetrics().shuffleReadMetrics();
    long waited = TimeUnit.MILLISECONDS.toNanos(read.fetchWaitTime());
    meter.add(start, read.remoteBytesRead(), 0, new TimeSplit(0, waited, waited, 0));
    return rows.iterator();
  }

  /** Spark tells why a barrier stage failed in a text only, which holds our reason. */
  @Override
  public void explain(Throwable failure) {
    String text = String.valueOf(failure.getMessage());
    String lost = LostPeerException.class.getName() + ": ";
    if (text.contains(lost)) {
      String reason = text.substring(text.indexOf(lost) + lost.length()).lines().findFirst().get();
      throw new LostPeerException(reason, null);
    }
    if (text.contains("SPARK-24819")) {
      throw new LostPeerException(
          "Cannot start the ranks again: too few task slots since an executor was lost; add executors or use --exchange ring",
          null);
    }
  }

  @Override
  public void close() {
    if (rendezvous != null) {
      rendezvous.close();
    }
  }
}

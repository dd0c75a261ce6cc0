package io.sparkattention.driver.exchange;

import io.sparkattention.driver.InvalidInputException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import org.apache.spark.Partition;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.rdd.RDD;
import scala.Tuple2;
import scala.collection.Iterator;
import scala.jdk.javaapi.CollectionConverters;
import scala.runtime.AbstractFunction1;

/**
 * The task of a rank: meet the others, fold the runs that it visits, and serve its own until all
 * have read them.
 */
final class RankAttention
    extends AbstractFunction1<Iterator<BarrierRanks.Rank>, Iterator<Tuple2<Integer, RankResult>>>
    implements Serializable {
  private static final long serialVersionUID = 1L;

  /** How often a rank that has folded everything looks whether those who still read are there. */
  private static final int CHECKS_PER_TIMEOUT = 4;

  private final RDD<PlacedQueries> queries;
  private final RDD<PlacedKeyValues> keyValues;
  private final PairFold fold;
  private final String rendezvous;
  private final RunSecret secret;

  /**
   * @param rendezvous name of the place where the ranks meet
   */
  RankAttention(
      RDD<PlacedQueries> queries,
      RDD<PlacedKeyValues> keyValues,
      PairFold fold,
      String rendezvous,
      RunSecret secret) {
    this.queries = queries;
    this.keyValues = keyValues;
    this.fold = fold;
    this.rendezvous = rendezvous;
    this.secret = secret;
  }

  @Override
  public Iterator<Tuple2<Integer, RankResult>> apply(Iterator<BarrierRanks.Rank> one) {
    long start = System.currentTimeMillis();
    HeapPeak.watch();
    BarrierRanks.Rank rank = one.next();
    TaskContext task = TaskContext.get();
    StoredRuns stored = new StoredRuns(task);
    StoredRuns served = new StoredRuns(task);
    QueryStates states = new QueryStates(fold, task);
    stored.read(queries, rank.queries()).forEach(states::add);

    PeerNetwork network = new PeerNetwork(SparkEnv.get(), secret);
    PeerRequest own =
        new PeerRequest(
            task.stageId(), task.stageAttemptNumber(), rank.index(), PeerRequest.ARE_YOU_THERE);
    List<RankResult> results = new ArrayList<>();
    try (KeyValueServer server =
        new KeyValueServer(
            network,
            own,
            positions(rank.own()),
            run -> served.read(keyValues, rank.own()[run]),
            rank.reads(),
            task)) {
      PeerAddress address =
          new PeerAddress(SparkEnv.get().executorId(), network.host(), server.port());
      PeerAddress[] peers = Rendezvous.join(rendezvous, own, rank.reads().length, address);
      for (int peer = 0; peer < peers.length; peer++) {
        if (peers[peer].executor().equals(address.executor())) {
          server.expectNothingFrom(peer);
        }
      }
      IntFunction<List<PlacedKeyValues>> here =
          visit -> stored.read(keyValues, rank.visits()[visit].stored());
      try (PeerRuns runs = new PeerRuns(network, own, peers, rank.visits(), here);
          RunPrefetcher prefetcher = new RunPrefetcher(rank.visits().length, runs::read, task)) {
        String refusal = foldAll(states, rank, prefetcher, results);
        server.awaitReaders(task, network.timeout().toMillis() / CHECKS_PER_TIMEOUT, runs::check);
        long bytesMoved = runs.bytesFetched() + stored.bytesMoved() + served.bytesMoved();
        results.add(summary(start, bytesMoved, prefetcher.times(), refusal));
      }
    }
    return CollectionConverters.asScala(
        results.stream().map(result -> new Tuple2<>(rank.index(), result)).iterator());
  }

  /** Where each run is among the partitions. */
  private static Map<Integer, Integer> positions(Partition[] runs) {
    Map<Integer, Integer> positions = new HashMap<>();
    for (int i = 0; i < runs.length; i++) {
      positions.put(runs[i].index(), i);
    }
    return positions;
  }

  /**
   * Folds all runs. Where the input turns out to be wrong the rank reads on all the same, since the
   * others wait for it.
   *
   * @param rows receives the finished rows
   * @return what is wrong, empty if nothing is
   */
  private static String foldAll(
      QueryStates states, BarrierRanks.Rank rank, RunPrefetcher prefetcher, List<RankResult> rows) {
    try {
      rows.addAll(states.foldAll(prefetcher, rank.lastVisits()));
      return "";
    } catch (InvalidInputException e) {
      while (prefetcher.hasNext()) {
        prefetcher.next();
      }
      return e.getMessage();
    }
  }

  private RankSummary summary(long start, long bytesMoved, TimeSplit transfer, String refusal) {
    return new RankSummary(
        new AttentionMeter.Reading(
            start,
            System.currentTimeMillis(),
            bytesMoved,
            HeapPeak.afterCollection(),
            fold.countedPairs(),
            fold.times().plus(transfer)),
        refusal);
  }
}

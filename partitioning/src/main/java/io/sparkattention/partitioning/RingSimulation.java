package io.sparkattention.partitioning;

import java.util.Arrays;
import java.util.List;

/**
 * A discrete-event simulation of a ring (also of {@code barrier}, which differs at its start and
 * when an executor is lost). Every rank has an executor of its own with one link out and one in.
 *
 * <p>An event is a rank that begins to fold the shard of a step. It then asks the owner of its next
 * shard for it, which arrives while the fold goes on; the next event is when both are done: one
 * shard is folded and one is on its way, and no rank runs further ahead. An owner serves requests
 * first come, first served, each at the whole rate of its link, as a connection of Spark's network
 * library does; fair shares would have the same last arrival. A rank asks for one shard at a time,
 * so its link in is never shared. Latency passes once for each fetch unit of a shard and occupies
 * no link.
 *
 * <p>A lost executor loses its fold so far and the shard that it stores. It is replaced: after
 * detection and recomputation the shard is there again, and the rank begins anew. Requests for the
 * shard wait as long; one that was on its way begins anew. What the lost rank had asked others for
 * is still sent.
 */
final class RingSimulation {

  /** What ranks fold at which step; step s of rank r is shard (r + s) mod ranks. */
  interface Work {
    int ranks();

    /** The first step from {@code step} on at which the rank sees a key; −1 if there is none. */
    int nextStep(int rank, int step);

    /** Seconds of a step on an executor that is not slowed. */
    double foldSeconds(int rank, int step);

    /** Bytes of the keys and values of a step's shard that the rank asks for. */
    double fetchBytes(int rank, int step);

    /** Whether all ranks are alike, so that one stands for all as long as nothing disturbs them. */
    boolean symmetric();
  }

  /**
   * What may go wrong.
   *
   * @param slowness [ranks]: factor of each rank's compute time, 1 where it is not slowed
   * @param losses executors that are lost, by time; each rank at most once
   */
  record Disturbances(double[] slowness, List<Loss> losses) {
    static Disturbances none(int ranks) {
      double[] slowness = new double[ranks];
      Arrays.fill(slowness, 1);
      return new Disturbances(slowness, List.of());
    }

    boolean any() {
      return !losses.isEmpty() || Arrays.stream(slowness).anyMatch(factor -> factor != 1);
    }
  }

  /**
   * A lost executor.
   *
   * @param seconds when it is lost
   * @param backSeconds when its shard is there again and its rank begins anew
   */
  record Loss(int rank, double seconds, double backSeconds) {}

  /** As the step of a rank: it begins anew; its executor, with the finished rows, is lost. */
  private static final int BEGIN = -1;

  private static final int LOST_ROWS = -2;

  private final Work work;
  private final LinkModel link;
  private final double[] slowness;

  /** [ranks]: null where the executor is not lost. */
  private final Loss[] losses;

  /** [ranks]: whether its loss is still to come. */
  private final boolean[] atRisk;

  private final RankClock clock;

  /** [ranks]: the step that its event begins. */
  private final int[] step;

  /** [ranks]: when its link out has sent all that it was asked for. */
  private final double[] sent;

  /** When the last of the ranks is done that fold no more. */
  private double end;

  private int folding;
  private double computeSeconds;
  private double waitSeconds;
  private double bytes;

  private RingSimulation(Work work, LinkModel link, Disturbances disturbances) {
    int ranks = work.ranks();
    this.work = work;
    this.link = link;
    this.slowness = disturbances.slowness();
    this.losses = new Loss[ranks];
    this.atRisk = new boolean[ranks];
    for (Loss loss : disturbances.losses()) {
      losses[loss.rank()] = loss;
      atRisk[loss.rank()] = true;
    }
    this.clock = new RankClock(ranks);
    this.step = new int[ranks];
    this.sent = new double[ranks];
  }

  /** Runs the ring until all ranks are done and no executor is lost before that. */
  static SimulatedRun run(Work work, LinkModel link, Disturbances disturbances) {
    RingSimulation ring = new RingSimulation(work, link, disturbances);
    // Where all ranks are alike each link serves one rank at a time: the others take as long.
    int simulated = work.symmetric() && !disturbances.any() ? 1 : work.ranks();
    ring.folding = simulated;
    for (int rank = 0; rank < simulated; rank++) {
      ring.begin(rank, 0);
    }
    while (!ring.clock.isEmpty()) {
      int rank = ring.clock.remove();
      ring.handle(rank, ring.clock.due(rank));
    }
    return new SimulatedRun(
        ring.end,
        ring.computeSeconds / simulated,
        ring.waitSeconds / simulated,
        ring.bytes / simulated);
  }

  private void handle(int rank, double now) {
    switch (step[rank]) {
      case BEGIN -> begin(rank, now);
      case LOST_ROWS -> {
        // Finished rows lie on their executor; at the end the job has them.
        if (folding > 0 || end > now) {
          folding++;
          loseAndBeginAnew(rank);
        }
      }
      default -> fold(rank, now);
    }
  }

  private void begin(int rank, double now) {
    int first = work.nextStep(rank, 0);
    if (first < 0) {
      finish(rank, now);
    } else {
      double arrival = arrival(rank, first, now);
      schedule(rank, first, arrival);
    }
  }

  /** The rank folds the shard of its step, and asks for the next one. */
  private void fold(int rank, double now) {
    double seconds = work.foldSeconds(rank, step[rank]) * slowness[rank];
    double folded = now + seconds;
    int next = work.nextStep(rank, step[rank] + 1);
    computeSeconds += seconds;
    if (next < 0) {
      finish(rank, folded);
      return;
    }
    double arrival = arrival(rank, next, now);
    waitSeconds += Math.max(0, arrival - folded);
    schedule(rank, next, Math.max(folded, arrival));
  }

  /** The rank begins a step at a time to come, unless its executor is lost before that. */
  private void schedule(int rank, int next, double seconds) {
    if (atRisk[rank] && losses[rank].seconds() < seconds) {
      loseAndBeginAnew(rank);
      return;
    }
    step[rank] = next;
    clock.set(rank, seconds);
  }

  private void loseAndBeginAnew(int rank) {
    atRisk[rank] = false;
    step[rank] = BEGIN;
    clock.set(rank, losses[rank].backSeconds());
  }

  private void finish(int rank, double seconds) {
    if (atRisk[rank] && losses[rank].seconds() < seconds) {
      loseAndBeginAnew(rank);
      return;
    }
    folding--;
    end = Math.max(end, seconds);
    if (atRisk[rank]) {
      step[rank] = LOST_ROWS;
      clock.set(rank, losses[rank].seconds());
    }
  }

  /** When the shard of a step is with the rank that asks for it now. */
  private double arrival(int rank, int step, double now) {
    int owner = rank + step < sent.length ? rank + step : rank + step - sent.length;
    if (owner == rank) {
      return now;
    }
    double size = work.fetchBytes(rank, step);
    double transfer = size / link.bytesPerSecond();
    double start = Math.max(now, sent[owner]);
    Loss loss = losses[owner];
    if (loss != null && start < loss.backSeconds() && start + transfer > loss.seconds()) {
      start = loss.backSeconds();
    }
    sent[owner] = start + transfer;
    bytes += size;
    return start + transfer + link.latencySeconds(size);
  }
}

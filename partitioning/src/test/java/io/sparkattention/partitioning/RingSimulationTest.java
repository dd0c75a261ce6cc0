package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.partitioning.RingSimulation.Disturbances;
import io.sparkattention.partitioning.RingSimulation.Loss;
import io.sparkattention.partitioning.RingSimulation.Work;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.PriorityQueue;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The engine against closed forms: everything here is simulated. */
class RingSimulationTest {
  /** Sums of up to 10^4 steps of double arithmetic. */
  private static final double ROUNDING = 1e-9;

  private static LinkModel link(double bytesPerSecond) {
    return new LinkModel(bytesPerSecond, 0, 1e6);
  }

  /** The same ring, every rank simulated. */
  private record EachRank(Work ring) implements Work {
    @Override
    public int ranks() {
      return ring.ranks();
    }

    @Override
    public int nextStep(int rank, int step) {
      return ring.nextStep(rank, step);
    }

    @Override
    public double foldSeconds(int rank, int step) {
      return ring.foldSeconds(rank, step);
    }

    @Override
    public double fetchBytes(int rank, int step) {
      return ring.fetchBytes(rank, step);
    }

    @Override
    public boolean symmetric() {
      return false;
    }
  }

  private static Disturbances slow(int ranks, int rank, double factor) {
    Disturbances one = Disturbances.none(ranks);
    one.slowness()[rank] = factor;
    return one;
  }

  private static Disturbances lost(int ranks, Loss... losses) {
    return new Disturbances(Disturbances.none(ranks).slowness(), List.of(losses));
  }

  /** c + (P − 1) · max(c, x): the first shard is its own, every other one arrives meanwhile. */
  @ParameterizedTest
  @CsvSource({"1, 1, 5", "2, 3, 1", "2, 1, 3", "7, 2, 2", "64, 1, 1.5", "64, 1.5, 1"})
  void aStepTakesTheLongerOfFoldAndTransfer(int ranks, double fold, double transfer) {
    UniformRing ring = new UniformRing(ranks, fold, transfer * 100);
    double longer = Math.max(fold, transfer);
    for (Work work : List.of(ring, new EachRank(ring))) {
      SimulatedRun run = RingSimulation.run(work, link(100), Disturbances.none(ranks));
      assertThat(run.seconds()).isCloseTo(fold + (ranks - 1) * longer, within(ROUNDING));
      assertThat(run.computeSeconds()).isCloseTo(ranks * fold, within(ROUNDING));
      assertThat(run.waitSeconds())
          .isCloseTo((ranks - 1) * Math.max(0, transfer - fold), within(ROUNDING));
      assertThat(run.bytesIn()).isCloseTo((ranks - 1) * transfer * 100, within(ROUNDING));
    }
  }

  @Test
  void oneRankStandsForTenThousandThatAreAlike() {
    UniformRing ring = new UniformRing(2_000, 0.013, 17);
    SimulatedRun one = RingSimulation.run(ring, link(1000), Disturbances.none(2_000));
    SimulatedRun all = RingSimulation.run(new EachRank(ring), link(1000), Disturbances.none(2_000));
    assertThat(one.seconds()).isCloseTo(all.seconds(), within(ROUNDING));
    assertThat(one.waitSeconds()).isCloseTo(all.waitSeconds(), within(ROUNDING));
  }

  @ParameterizedTest
  @ValueSource(doubles = {1.5, 2, 10})
  void aStragglerSlowsTheRunByItsFactor(double factor) {
    int ranks = 16;
    UniformRing ring = new UniformRing(ranks, 2, 100);
    SimulatedRun run = RingSimulation.run(ring, link(100), slow(ranks, 5, factor));
    assertThat(run.seconds()).isCloseTo(ranks * 2 * factor, within(ROUNDING));
    // The others wait for no one: they read from its storage.
    assertThat(run.waitSeconds()).isCloseTo(0, within(ROUNDING));
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, 0.5, 11, 31.9})
  void aLostExecutorCostsDetectionAndRecomputationAndItsRankBeginsAnew(double lostAt) {
    int ranks = 16;
    UniformRing ring = new UniformRing(ranks, 2, 100);
    Loss loss = new Loss(3, lostAt, lostAt + 10 + 4);
    SimulatedRun run = RingSimulation.run(ring, link(100), lost(ranks, loss));
    assertThat(run.seconds()).isCloseTo(lostAt + 14 + ranks * 2, within(ROUNDING));
  }

  @Test
  void executorsLostInTheSameRunOverlap() {
    int ranks = 16;
    UniformRing ring = new UniformRing(ranks, 2, 100);
    Loss early = new Loss(3, 5, 19);
    Loss late = new Loss(9, 30, 44);
    // The later one waits for nobody: the shard of the earlier one is back before it needs it.
    assertThat(RingSimulation.run(ring, link(100), lost(ranks, early, late)).seconds())
        .isCloseTo(44 + 32, within(ROUNDING));
    // After the end nothing is lost.
    Loss after = new Loss(9, 32, 50);
    assertThat(RingSimulation.run(ring, link(100), lost(ranks, after)).seconds())
        .isCloseTo(32, within(ROUNDING));
  }

  @Test
  void finishedRowsAreLostWithTheirExecutorUntilTheLastRankIsDone() {
    UniformRing ring = new UniformRing(4, 2, 1);
    Disturbances both = new Disturbances(slow(4, 0, 10).slowness(), List.of(new Loss(2, 50, 60)));
    // Rank 2 was done at 8, the slow one is at 80.
    assertThat(RingSimulation.run(ring, link(100), both).seconds()).isCloseTo(80, within(ROUNDING));
    Disturbances late = new Disturbances(slow(4, 0, 10).slowness(), List.of(new Loss(2, 79, 90)));
    assertThat(RingSimulation.run(ring, link(100), late).seconds()).isCloseTo(98, within(ROUNDING));
  }

  @Test
  void whoNeedsALostShardWaitsUntilItIsThereAgain() {
    // Two ranks; rank 0 asks for shard 1 at 0, which takes until 1 and is lost at 0.5.
    UniformRing ring = new UniformRing(2, 0.1, 100);
    SimulatedRun run = RingSimulation.run(ring, link(100), lost(2, new Loss(1, 0.5, 20)));
    assertThat(run.seconds()).isCloseTo(20 + 1 + 0.1, within(ROUNDING));
  }

  @Test
  void anOwnerServesFirstComeFirstServed() {
    // All ranks need shard 0 only: its link sends it three times, one after another.
    Work hot =
        new Work() {
          @Override
          public int ranks() {
            return 4;
          }

          @Override
          public int nextStep(int rank, int step) {
            int own = (4 - rank) % 4;
            return step <= own ? own : -1;
          }

          @Override
          public double foldSeconds(int rank, int step) {
            return 1;
          }

          @Override
          public double fetchBytes(int rank, int step) {
            return 100;
          }

          @Override
          public boolean symmetric() {
            return false;
          }
        };
    SimulatedRun run = RingSimulation.run(hot, link(10), Disturbances.none(4));
    assertThat(run.seconds()).isCloseTo(31, within(ROUNDING));
  }

  /** (P − 1)/P of what a rank has leaves by its link, the same comes in, and latency once. */
  @ParameterizedTest
  @ValueSource(ints = {2, 3, 16, 100})
  void anAllToAllIsARingOfMessagesWithoutFolds(int ranks) {
    double perRank = 1000;
    EachRank messages = new EachRank(new UniformRing(ranks, 0, perRank / ranks));
    SimulatedRun run = RingSimulation.run(messages, link(50), Disturbances.none(ranks));
    assertThat(run.seconds())
        .isCloseTo(perRank * (ranks - 1) / ranks / 50, within(ROUNDING * ranks));
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void keepsWhatCannotBeBrokenInRandomRings(long seed) {
    Random random = new Random(seed);
    int ranks = 2 + random.nextInt(30);
    double[][] folds = new double[ranks][ranks];
    double[] sizes = random.doubles(ranks, 0, 10).toArray();
    for (double[] row : folds) {
      Arrays.setAll(row, step -> random.nextInt(3) == 0 ? 0 : random.nextDouble());
    }
    Work work = table(folds, sizes);
    double[] slowness = random.doubles(ranks, 1, 3).toArray();
    LinkModel link = new LinkModel(20, 0.01, 3);
    SimulatedRun run = RingSimulation.run(work, link, new Disturbances(slowness, List.of()));
    double compute = 0;
    double in = 0;
    double[] out = new double[ranks];
    for (int rank = 0; rank < ranks; rank++) {
      double own = Arrays.stream(folds[rank]).sum() * slowness[rank];
      assertThat(run.seconds()).as("seed %d", seed).isGreaterThanOrEqualTo(own - ROUNDING);
      compute += own;
      for (int step = 1; step < ranks; step++) {
        int owner = (rank + step) % ranks;
        if (folds[rank][step] > 0) {
          in += sizes[owner];
          out[owner] += sizes[owner];
        }
      }
    }
    double busiest = Arrays.stream(out).max().orElseThrow();
    assertThat(run.seconds()).isGreaterThanOrEqualTo(busiest / 20 - ROUNDING);
    assertThat(run.computeSeconds() * ranks).isCloseTo(compute, within(ROUNDING));
    assertThat(run.bytesIn() * ranks).isCloseTo(in, within(ROUNDING));

    List<Loss> losses = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank += 3) {
      double at = random.nextDouble() * 1.5 * run.seconds();
      losses.add(new Loss(rank, at, at + 2));
    }
    SimulatedRun hit = RingSimulation.run(work, link, new Disturbances(slowness, losses));
    SimulatedRun again = RingSimulation.run(work, link, new Disturbances(slowness, losses));
    assertThat(hit).as("seed %d", seed).isEqualTo(again);
    assertThat(hit.computeSeconds() * ranks).isGreaterThanOrEqualTo(compute - ROUNDING);
  }

  private static Work table(double[][] folds, double[] sizes) {
    return new Work() {
      @Override
      public int ranks() {
        return sizes.length;
      }

      @Override
      public int nextStep(int rank, int step) {
        for (int next = step; next < sizes.length; next++) {
          if (folds[rank][next] > 0) {
            return next;
          }
        }
        return -1;
      }

      @Override
      public double foldSeconds(int rank, int step) {
        return folds[rank][step];
      }

      @Override
      public double fetchBytes(int rank, int step) {
        return sizes[(rank + step) % sizes.length];
      }

      @Override
      public boolean symmetric() {
        return false;
      }
    };
  }

  @Test
  void theClockIsAPriorityQueue() {
    long seed = 11;
    Random random = new Random(seed);
    RankClock clock = new RankClock(50);
    record Event(double due, int rank) {}
    PriorityQueue<Event> queue =
        new PriorityQueue<>(
            (a, b) ->
                a.due() == b.due()
                    ? Integer.compare(a.rank(), b.rank())
                    : Double.compare(a.due(), b.due()));
    for (int rank = 0; rank < 50; rank++) {
      double due = random.nextInt(20);
      clock.set(rank, due);
      queue.add(new Event(due, rank));
    }
    for (int i = 0; i < 5_000; i++) {
      Event first = queue.remove();
      assertThat(clock.remove()).as("seed %d, event %d", seed, i).isEqualTo(first.rank());
      assertThat(clock.due(first.rank())).isEqualTo(first.due());
      if (i < 4_950) {
        double due = first.due() + random.nextInt(20);
        clock.set(first.rank(), due);
        queue.add(new Event(due, first.rank()));
      }
    }
    assertThat(clock.isEmpty()).isTrue();
  }
}

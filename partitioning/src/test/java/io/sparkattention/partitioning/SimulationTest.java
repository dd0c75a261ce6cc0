package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.partitioning.ClusterFacts.Fact;
import io.sparkattention.partitioning.Simulation.Blocks;
import io.sparkattention.partitioning.Simulation.Exchange;
import io.sparkattention.partitioning.Simulation.Trouble;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Simulated runs against closed forms. */
class SimulationTest {
  private static final double GFLOPS = 100;

  /** Of the formulas in {@link Simulation}, where the rank of a block is rounding. */
  private static final double ROUNDING = 1e-9;

  private static final HeadSizes HEADS = new HeadSizes(16, 16, 64, 64, 4);

  /** Multiply-adds and bytes, and nothing else. */
  private static ClusterFacts bare(double networkGBs) {
    return ClusterFacts.defaults()
        .with(Fact.MEMORY, 1e6)
        .with(Fact.MULTIPLY_ADDS, GFLOPS)
        .with(Fact.SCORE, 0)
        .with(Fact.MASKED_SCORE, 0)
        .with(Fact.LEAF, 0)
        .with(Fact.ROW, 0)
        .with(Fact.STREAM, 1e9)
        .with(Fact.NETWORK, networkGBs)
        .with(Fact.LATENCY, 0)
        .with(Fact.SHUFFLE, 1e9)
        .with(Fact.STAGE, 0)
        .with(Fact.TASK, 0)
        .with(Fact.RENDEZVOUS, 0);
  }

  /** The network on which a ring of {@link #HEADS} hides its fetches from 960 tokens on. */
  private static ClusterFacts balancedAt960() {
    return bare(2 * GFLOPS / 960);
  }

  private static Simulation full(
      ClusterFacts facts, HeadSizes heads, long tokens, int executors, Trouble trouble) {
    Blocks blocks = new Blocks(tokens, 24, BlockAssignment.CONTIGUOUS);
    return new Simulation(facts, heads, AttentionMask.full(), blocks, executors, trouble);
  }

  private static SimulatedRun run(Simulation simulation, Exchange exchange) {
    return simulation.run(exchange).orElseThrow();
  }

  /** (F / B) · e·G / (2·H). */
  @ParameterizedTest
  @CsvSource({"16, 16, 4", "32, 8, 4", "32, 8, 2", "5, 1, 2"})
  void theMachineBalanceIsRateOverRate(int numHeads, int keyValueHeads, int bytes) {
    double network = 0.25;
    HeadSizes heads = new HeadSizes(numHeads, keyValueHeads, 64, 64, bytes);
    double expected = GFLOPS / network * bytes * keyValueHeads / (2.0 * numHeads);
    assertThat(full(bare(network), heads, 480, 1, Trouble.NONE).balanceTokens())
        .isCloseTo(expected, within(ROUNDING * expected));
  }

  @ParameterizedTest
  @ValueSource(longs = {240, 480, 936, 960, 984, 1920, 4800})
  void aRingHidesItsFetchesFromTheMachineBalanceOn(long tokensEach) {
    int executors = 16;
    Simulation simulation =
        full(balancedAt960(), HEADS, tokensEach * executors, executors, Trouble.NONE);
    SimulatedRun run = run(simulation, Exchange.RING);
    double fold = 2.0 * 16 * 128 * tokensEach * tokensEach / (GFLOPS * 1e9);
    double fetch = fold * 960 / tokensEach;
    double expected = fold + (executors - 1) * Math.max(fold, fetch);
    assertThat(run.seconds()).isCloseTo(expected, within(ROUNDING * expected));
    if (tokensEach >= 960) {
      assertThat(run.waitSeconds()).isLessThan(ROUNDING);
      assertThat(simulation.idealSeconds() / run.seconds()).isCloseTo(1, within(ROUNDING));
    } else {
      assertThat(run.waitSeconds())
          .isCloseTo((executors - 1) * (fetch - fold), within(ROUNDING * expected));
    }
  }

  /** A token's share of both sides of {@link Simulation}'s crossover. */
  @ParameterizedTest
  @CsvSource({"16, 16, 4, 8", "16, 16, 4, 16", "32, 16, 4, 8", "16, 16, 4, 4"})
  void anAllToAllIsFasterBelowTheCrossoverAndARingAbove(
      int numHeads, int keyValueHeads, int bytes, int executors) {
    double network = 0.05;
    HeadSizes heads = new HeadSizes(numHeads, keyValueHeads, 64, 64, bytes);
    double moved =
        heads.keyValueBytesPerToken() + heads.queryBytesPerToken() + heads.rowBytesPerToken();
    double crossover =
        (heads.keyValueBytesPerToken() - moved / executors)
            / (2.0 * numHeads * 128)
            * (GFLOPS / network);
    // Blocks of 24: more than a block away on either side.
    long below = (long) (crossover * 0.9) / 24 * 24;
    long above = (long) (crossover * 1.1) / 24 * 24 + 24;
    Simulation few = full(bare(network), heads, below * executors, executors, Trouble.NONE);
    Simulation many = full(bare(network), heads, above * executors, executors, Trouble.NONE);
    assertThat(run(few, Exchange.HEADS).seconds()).isLessThan(run(few, Exchange.RING).seconds());
    assertThat(run(many, Exchange.HEADS).seconds())
        .isGreaterThan(run(many, Exchange.RING).seconds());
    // To within one block of the formula: the difference of both changes its sign there.
    assertThat(crossover * 0.2).isGreaterThan(2 * 24);
  }

  /** All keys and values pass each link; the speed-up ends at tokens / balance. */
  @Test
  void strongScalingEndsWhereTheLinksAreFull() {
    long tokens = 24L * 4000;
    double alone =
        run(full(balancedAt960(), HEADS, tokens, 1, Trouble.NONE), Exchange.RING).seconds();
    double limit = tokens / 960.0;
    double before = 0;
    for (int executors : new int[] {10, 50, 100, 200, 1000, 4000}) {
      double seconds =
          run(full(balancedAt960(), HEADS, tokens, executors, Trouble.NONE), Exchange.RING)
              .seconds();
      double speedUp = alone / seconds;
      // A rank does not fetch its own shard.
      assertThat(speedUp)
          .isLessThanOrEqualTo(Math.min(executors, limit * executors / (executors - 1)) + ROUNDING);
      before = speedUp;
    }
    assertThat(before).isCloseTo(limit, within(0.01 * limit));
  }

  @ParameterizedTest
  @ValueSource(doubles = {1.5, 3})
  void oneStragglerSlowsEveryExchangeByItsFactor(double factor) {
    Trouble one = new Trouble(1 / 16.0, factor, 0, 0, 3);
    double calm = run(full(bare(1e6), HEADS, 24 * 160, 16, Trouble.NONE), Exchange.RING).seconds();
    for (Exchange exchange : Exchange.values()) {
      double slow = run(full(bare(1e6), HEADS, 24 * 160, 16, one), exchange).seconds();
      assertThat(slow / calm).as("%s", exchange).isCloseTo(factor, within(1e-3));
    }
  }

  @Test
  void aLostExecutorCostsDetectionAndRecomputationAndWhatItHadComputed() {
    double calm = run(full(bare(1e6), HEADS, 24 * 160, 16, Trouble.NONE), Exchange.RING).seconds();
    Trouble one = new Trouble(0, 1, 1, 5, 9);
    Simulation lost = full(bare(1e6), HEADS, 24 * 160, 16, one);
    double ring = run(lost, Exchange.RING).seconds();
    double back = 5 + lost.recomputeSeconds();
    // Lost between its start and its end, then all of it again.
    assertThat(ring).isBetween(back + calm, back + 2 * calm + ROUNDING);
    assertThat(run(lost, Exchange.BARRIER).seconds()).isCloseTo(ring, within(1e-3 * ring));

    Simulation many = full(bare(1e6), HEADS, 24 * 160, 16, new Trouble(0, 1, 8, 5, 9));
    assertThat(run(many, Exchange.RING).seconds()).isLessThanOrEqualTo(back + 2 * calm + 1e-3);
    assertThat(run(many, Exchange.BARRIER).seconds())
        .isGreaterThanOrEqualTo(run(many, Exchange.RING).seconds());
  }

  /** One is closed, the other is played through; the work and the facts are the same. */
  @ParameterizedTest
  @ValueSource(strings = {"full", "causal", "sliding-window:4095", "streaming:4,2047"})
  void agreesWithTheCostModelWhereFetchesAreHidden(String text) {
    AttentionMask mask = AttentionMask.parse(text);
    long tokens = 2048 * 8 * 16;
    ClusterFacts facts = ClusterFacts.defaults().with(Fact.MEMORY, 64).with(Fact.EXECUTORS, 16);
    Blocks blocks = new Blocks(tokens, 2048, BlockAssignment.BALANCED);
    SimulatedRun run =
        run(new Simulation(facts, HEADS, mask, blocks, 16, Trouble.NONE), Exchange.RING);
    List<Block> grid = new BlockGrid(2048).blocks(0, 0, tokens);
    long[] work = BlockWork.queryWork(mask, new long[1], grid, grid);
    WorkProfile profile = new WorkProfile(mask, new long[1], grid, grid, work);
    int[] ranks = BlockAssignment.BALANCED.ranks(work, 16);
    double runTokens = (16 << 20) / HEADS.keyValueBytesPerToken();
    int[] shards = BlockAssignment.CONTIGUOUS.ranks(new long[grid.size()], 16);
    List<List<Block>> runs = RingSchedule.runs(grid, shards, (long) runTokens);
    Cost cost =
        new CostModel(facts, HEADS, tokens, tokens, runTokens)
            .ring(profile.queryRankWork(ranks, 16), profile.visits(ranks, 16, runs));
    System.out.printf(
        "%s: simulated %.4f s, model %.4f s%n", text, run.seconds(), cost.attentionSeconds());
    assertThat(run.seconds()).isCloseTo(cost.attentionSeconds(), within(0.1 * run.seconds()));
  }

  @Test
  void whatDoesNotFitTheMemoryIsNotSimulated() {
    ClusterFacts small = bare(1).with(Fact.MEMORY, 0.5);
    assertThat(full(small, HEADS, 24 * 50_000, 2, Trouble.NONE).run(Exchange.RING)).isEmpty();
  }

  @Test
  void aWindowOfTenThousandExecutorsAndAHundredMillionTokensTakesWhatItsOwnWindowTakes() {
    AttentionMask window = AttentionMask.parse("sliding-window:4095");
    ClusterFacts facts = ClusterFacts.defaults().with(Fact.CORES, 16).with(Fact.MEMORY, 64);
    double[] seconds = new double[2];
    for (int i = 0; i < 2; i++) {
      int executors = i == 0 ? 100 : 10_000;
      Blocks blocks = new Blocks(10_240L * executors, 2048, BlockAssignment.CONTIGUOUS);
      seconds[i] =
          run(new Simulation(facts, HEADS, window, blocks, executors, Trouble.NONE), Exchange.RING)
              .seconds();
    }
    assertThat(seconds[1]).isCloseTo(seconds[0], within(1e-6));
  }

  @Test
  void theReadmeShowsScalingToTenThousandExecutors() throws Exception {
    ClusterFacts facts = ClusterFacts.defaults().with(Fact.CORES, 16).with(Fact.MEMORY, 64);
    ScalingTables tables =
        new ScalingTables(
            facts,
            new HeadSizes(8, 8, 64, 64, 4),
            AttentionMask.full(),
            BlockAssignment.CONTIGUOUS,
            2048,
            Trouble.NONE);
    List<Integer> executors = List.of(10, 100, 1_000, 10_000);
    String printed =
        tables.legend()
            + "\n"
            + tables.strong(20_480_000, executors)
            + "\n"
            + tables.weak(10_240, executors);
    System.out.println(printed);
    assertThat(printed.lines().filter(line -> line.contains("imulated, not measured"))).hasSize(1);
    assertThat(printed).contains("Strong scaling, simulated").contains("Weak scaling, simulated");
    assertThat(Files.readString(Path.of("README.md"))).contains(printed);
  }
}

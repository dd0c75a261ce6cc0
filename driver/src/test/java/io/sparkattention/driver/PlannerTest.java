package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.ClusterFacts;
import io.sparkattention.partitioning.ClusterFacts.Fact;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Clear cases: what is right for them does not hang on the last digit of a fact. */
class PlannerTest {
  private static final HeadLayout LAYOUT = new HeadLayout(32, 8, 128, 128);
  private static final ClusterFacts LARGE =
      ClusterFacts.defaults()
          .with(Fact.EXECUTORS, 64)
          .with(Fact.CORES, 4)
          .with(Fact.MEMORY, 16);

  private static AttentionPlan plan(
      Map<Key, String> options, ClusterFacts facts, long queries, long keys) {
    AttentionConfig config = AttentionConfig.resolve(options, new SparkConf(false));
    List<SequenceShape> sequences = List.of(new SequenceShape("s", 0, queries, keys));
    return new AttentionPlan(
        new Workload(LAYOUT, ElementType.F32, sequences, Optional.empty(), config), config, facts);
  }

  private static Stream<Candidate> candidates(AttentionPlan plan, ExchangeKind exchange) {
    return plan.choice().candidates().stream()
        .filter(candidate -> candidate.exchange() == exchange);
  }

  @Test
  void longSelfAttentionTakesTheRingOverBalancedShards() {
    AttentionPlan plan = plan(Map.of(Key.MASK, "causal"), LARGE, 1_000_000, 1_000_000);
    assertThat(plan.exchange()).isEqualTo(ExchangeKind.RING);
    assertThat(plan.assignment()).isIn(BlockAssignment.BALANCED, BlockAssignment.ZIGZAG);
    assertThat(plan.shards()).isEqualTo(LARGE.slots());
  }

  @Test
  void oneQueryAgainstManyKeysTakesReduce() {
    AttentionPlan plan = plan(Map.of(), LARGE, 1, 100_000_000);
    assertThat(plan.exchange()).isEqualTo(ExchangeKind.REDUCE);
    assertThat(candidates(plan, ExchangeKind.RING))
        .allMatch(ring -> ring.cost().seconds() > 10 * plan.predicted().seconds());
  }

  /** The states of all queries at once: 1 M · 32 · 129 · 20 bytes. */
  @Test
  void whatDoesNotFitIsRefusedWithItsReason() {
    AttentionPlan plan = plan(Map.of(), LARGE, 1_000_000, 1_000_000);
    assertThat(candidates(plan, ExchangeKind.REDUCE))
        .allSatisfy(
            reduce ->
                assertThat(reduce.refusal().orElse(""))
                    .startsWith("needs 86.7 GB of memory a task, has "));
    assertThat(plan.explain()).contains("rejected: needs 86.7 GB of memory a task, has ");
  }

  @Test
  void nothingIsChosenWhereNothingFits() {
    Map<Key, String> options = Map.of(Key.MAX_MEMORY, "30m");
    assertThatThrownBy(() -> plan(options, LARGE, 100_000, 100_000))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("Cannot hold a task of any exchange in 31.5 MB: ")
        .hasMessageEndingWith(
            "; raise --max-memory or the executors' memory, or lower --block-tokens");
  }

  @Test
  void whatIsFixedStaysFixed() {
    Map<Key, String> options =
        Map.of(Key.EXCHANGE, "heads", Key.ASSIGNMENT, "striped", Key.SHARDS, "7");
    AttentionPlan plan = plan(options, LARGE, 200_000, 200_000);
    assertThat(plan.exchange()).isEqualTo(ExchangeKind.HEADS);
    assertThat(plan.assignment()).isEqualTo(BlockAssignment.STRIPED);
    assertThat(plan.shards()).isEqualTo(7);
    assertThat(plan.choice().candidates())
        .allMatch(c -> c.shards() == 7 && c.assignment() == BlockAssignment.STRIPED);
    assertThat(plan.explain()).contains("asked for", "rejected: heads was asked for, this is ");
  }

  @Test
  void theTableNamesEveryExchangeAndTheChosenFirst() {
    AttentionPlan plan = plan(Map.of(Key.MASK, "causal"), LARGE, 100_000, 100_000);
    List<String> lines = plan.choice().table().lines().toList();
    assertThat(lines.get(0)).startsWith("exchange").contains("time", "moved", "memory", "skew");
    assertThat(lines.get(1)).startsWith(plan.exchange().toString()).endsWith("chosen");
    assertThat(lines.subList(2, lines.size())).allMatch(line -> line.contains("rejected: "));
    for (ExchangeKind kind : ExchangeKind.values()) {
      if (kind != ExchangeKind.AUTO) {
        assertThat(lines).anyMatch(line -> line.startsWith(kind.toString() + " "));
        assertThat(plan.toString()).contains(kind.toString());
      }
    }
  }

  @Test
  void ofBarrierMoreShardsThanSlotsAreRefused() {
    AttentionPlan plan = plan(Map.of(Key.SHARDS, "257"), LARGE, 600_000, 600_000);
    assertThat(candidates(plan, ExchangeKind.BARRIER))
        .allSatisfy(barrier -> assertThat(barrier.refusal()).isPresent());
  }

  /** 48,829 blocks; the pairs of blocks that are seen are few. */
  @Test
  void hundredMillionTokensUnderAWindowArePlanned() {
    AttentionPlan plan =
        plan(Map.of(Key.MASK, "sliding-window:4095"), LARGE, 100_000_000, 100_000_000);
    assertThat(plan.exchange()).isEqualTo(ExchangeKind.RING);
    // Neighbours stay together: striped blocks would have every rank read everything.
    assertThat(plan.assignment()).isNotEqualTo(BlockAssignment.STRIPED);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "'# nothing' | found no facts, expected lines spark.attention.facts.NAME=NUMBER",
        "spark.attention.facts.cores=0 | Invalid spark.attention.facts.cores: found '0.0', expected"
            + " a whole number from 1 to 1e9 (cores of an executor; asked of Spark)",
        "spark.attention.mask=full | Unknown cluster fact 'spark.attention.mask': expected one of"
            + " spark.attention.facts.*, such as spark.attention.facts.maskedScoreNanos",
        "'spark.attention.facts.cores=\\uXYZ' | Malformed \\uxxxx encoding."
      })
  void aBadFactsFileIsRefused(String text, String reason) {
    assertThatThrownBy(
            () ->
                AttentionConfig.resolve(
                    Map.of(Key.FACTS, "f.properties"), new SparkConf(false), name -> text))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Invalid facts file 'f.properties': " + reason + "; write it with calibrate");
  }

  @Test
  void factsComeFromTheFileAndThenFromSparksConfiguration() {
    SparkConf conf =
        new SparkConf(false)
            .set("spark.attention.facts", "f.properties")
            .set("spark.attention.facts.networkGBs", "3");
    AttentionConfig config =
        AttentionConfig.resolve(
            Map.of(),
            conf,
            name -> "spark.attention.facts.networkGBs=2\nspark.attention.facts.leafNanos=5\n");
    assertThat(config.facts().get(Fact.NETWORK)).isEqualTo(3);
    assertThat(config.facts().get(Fact.LEAF)).isEqualTo(5);
    assertThat(config.factsSource()).isEqualTo("f.properties and Spark's configuration");
    conf.set("spark.attention.facts.networkMBs", "3");
    assertThatThrownBy(() -> AttentionConfig.resolve(Map.of(), conf, name -> ""))
        .isInstanceOf(InvalidInputException.class);
  }
}

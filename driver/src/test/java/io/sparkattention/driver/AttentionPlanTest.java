package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.ClusterFacts;
import io.sparkattention.partitioning.ClusterFacts.Fact;
import io.sparkattention.partitioning.Coverage;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.SparkConf;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AttentionPlanTest {
  private static final HeadLayout LAYOUT = new HeadLayout(8, 2, 64, 64);
  private static final int SLOTS = 4;
  private static final ClusterFacts FACTS =
      ClusterFacts.defaults().with(Fact.CORES, SLOTS).with(Fact.MEMORY, 64);

  private static AttentionPlan plan(
      HeadLayout layout, Map<Key, String> options, SequenceShape... sequences) {
    AttentionConfig config = AttentionConfig.resolve(options, new SparkConf(false));
    return new AttentionPlan(
        new Workload(layout, ElementType.F32, List.of(sequences), Optional.empty(), config),
        config,
        FACTS);
  }

  private static SequenceShape sequence(long queries, long keys) {
    return new SequenceShape("s", 0, queries, keys);
  }

  @Test
  void isPrintable() {
    assertThat(plan(LAYOUT, Map.of(Key.MASK, "causal"), sequence(10_000, 10_000)))
        .hasToString(
            """
            sequences    1, 10,000 queries × 10,000 keys
            heads        8 over 2 key/value heads, headDim 64, valueDim 64
            keys, values f32 (the narrowest without loss), 10.2 MB
            mask         causal, 50,005,000 visible pairs, 1.024e+11 FLOPs
            blocks       5 query and 5 key blocks of 2048 tokens
            block pairs  10 full, 5 partial, 10 empty
            exchange     ring (fastest that fits, predicted 368 ms; rejected broadcast: 51.2 ms slower, sends to every executor first; heads: 374 ms slower, keeps 2 of 4 slots busy; reduce: 622 ms slower, moves or serialises more; barrier: 1.05 s slower, starts more stages and tasks)
            shards       4, balanced, skew 1.316, 4 fetch units of up to 16.8 MB
            memory       77.5 MB at most in each of 4 tasks of 15379.5 MB (left by what is stored), one pass over the keys; stored in memory
            moves        nothing: one executor
            """);
  }

  /** 8 query heads. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "SOFTCAP; 30; softcap 30.0",
        "ALIBI; auto; alibi auto",
        "ALIBI; 8 7 6 5 4 3 2 1; alibi 8.0,7.0,6.0,5.0,…",
        "RELATIVE_BIAS; causal,128,1 2 3 4 5 6 7 8 1 2 3 4 5 6 7 8; relative bias causal,128,16"
            + " weights",
        "SINKS; 2; sinks 2.0",
        "DROPOUT; 0.25; dropout 0.25 with seed 0"
      })
  void tellsOfTheScoresWhatIsSet(Key key, String value, String told) {
    AttentionPlan plan = plan(LAYOUT, Map.of(key, value), sequence(10, 10));
    assertThat(plan.scores().summary()).isEqualTo(told);
    assertThat(plan.toString().lines()).contains("scores       " + told);
  }

  @Test
  void tellsAllScoreSettingsInTheOrderInWhichTheyAct() {
    Map<Key, String> options =
        Map.of(Key.DROPOUT, "0.1", Key.SEED, "7", Key.SINKS, "0", Key.ALIBI, "auto");
    AttentionConfig config =
        AttentionConfig.resolve(options, new SparkConf(false)).withBias((head, query, key) -> 0);
    AttentionPlan plan =
        new AttentionPlan(
            new Workload(
                LAYOUT, ElementType.F32, List.of(sequence(9, 9)), Optional.empty(), config),
            config,
            FACTS);
    assertThat(plan.scores().summary())
        .isEqualTo("alibi auto, functions of positions 1, sinks 0.0, dropout 0.1 with seed 7");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "ALIBI | 1 2 3 | --alibi: found 3 slopes, expected 8, one per query head; give that many, or"
            + " auto",
        "SINKS | 1 2 | --sinks: found 2 logits, expected 8, one per query head, or a single one; give"
            + " that many",
        "RELATIVE_BIAS | causal,128,1 2 3 4 5 6 7 8 | --relative-bias: found 8 weights, expected"
            + " [buckets, heads] with 8 heads and a number of buckets, at least 2; give one row of"
            + " weights per bucket"
      })
  void refusesScoreSettingsForOtherHeads(Key key, String value, String message) {
    assertThatThrownBy(() -> plan(LAYOUT, Map.of(key, value), sequence(10, 10)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage("Invalid " + message);
  }

  /** Counted by hand: 4 blocks of 10 tokens; the window reaches from each into the one before. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "full; 1600; 16; 0; 0",
        "causal; 820; 6; 4; 6",
        "sliding-window:10; 385; 0; 7; 9",
        "documents:20,10,10; 600; 6; 0; 10",
        "documents:20,10,10 & causal; 320; 1; 4; 11",
        "block-sparse:10,0-3,3-0 | global:10; 700; 7; 0; 9",
        "causal & sinks:10; 355; 3; 1; 12",
        "global-positions:0,39; 156; 0; 12; 4",
        "sliding-window:9 | documents:20,20; 845; 8; 1; 7",
        "sinks:0; 0; 0; 0; 16"
      })
  void countsWhatTheMaskLeaves(String mask, long pairs, long full, long partial, long empty) {
    for (String exchange : List.of("ring", "reduce")) {
      Map<Key, String> options =
          Map.of(Key.MASK, mask, Key.BLOCK_TOKENS, "10", Key.EXCHANGE, exchange);
      AttentionPlan plan = plan(new HeadLayout(3, 1, 4, 2), options, sequence(40, 40));
      assertThat(plan.unmaskedPairs()).isEqualTo(pairs);
      assertThat(plan.blockPairs(Coverage.FULL)).isEqualTo(full);
      assertThat(plan.blockPairs(Coverage.PARTIAL)).isEqualTo(partial);
      assertThat(plan.blockPairs(Coverage.EMPTY)).isEqualTo(empty);
      assertThat(plan.flops()).isEqualTo(2.0 * pairs * 6 * 3);
      assertThat(plan.toString())
          .contains("mask         %s, %,d visible pairs, ".formatted(plan.mask(), pairs))
          .contains("block pairs  %d full, %d partial, %d empty%n".formatted(full, partial, empty));
    }
  }

  @Test
  void aLongListIsPrintedShort() {
    Map<Key, String> options = Map.of(Key.MASK, "causal & documents:" + "1,".repeat(99) + "1");
    assertThat(plan(LAYOUT, options, sequence(100, 100)).toString())
        .contains("mask         causal & documents:1,1,1,1,1,1,1,1,… 92 more, 100 visible pairs, ");
  }

  /** The longest of several sequences, and queries beyond the keys, count. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "documents:99,1,5; top-left; 100",
        "causal & (global-positions:3,100 | sinks:1); top-left; 100",
        "block-sparse:20,0-0,5-1; top-left; 100",
        "block-sparse:20,0-0,1-5; top-left; 100",
        "bigbird:4,1,1,7,10,11; top-left; 100",
        "documents:60,20,5; bottom-right; 80"
      })
  void aListForLongerSequencesIsRefused(String mask, String alignment, long position) {
    Map<Key, String> options = Map.of(Key.MASK, mask, Key.CAUSAL_ALIGNMENT, alignment);
    SequenceShape[] fits = {sequence(3, 3), sequence(position + 1, 80)};
    if (alignment.equals("top-left")) {
      assertThat(plan(LAYOUT, options, fits).unmaskedPairs()).isPositive();
    }
    assertThatThrownBy(() -> plan(LAYOUT, options, sequence(3, 3), sequence(100, 80)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot use mask '%s': it names what begins at position %d, expected positions below %d,"
                + " where the longest sequence ends; correct its list or BLOCKS",
            AttentionMask.parse(mask), position, position);
  }

  /** The first N tokens and widths may exceed a sequence: all of it is meant. */
  @Test
  void aNumberOfTokensMayExceedTheSequence() {
    for (String mask : List.of("prefix:99", "sinks:99", "global:99", "sliding-window:99,99")) {
      AttentionPlan plan = plan(LAYOUT, Map.of(Key.MASK, mask), sequence(7, 7));
      assertThat(plan.unmaskedPairs()).as(mask).isEqualTo(49);
    }
  }

  @Test
  void pairsThatNoLongCountsAreRefused() {
    Map<Key, String> options = Map.of(Key.BLOCK_TOKENS, "65536");
    assertThatThrownBy(() -> plan(LAYOUT, options, sequence(1L << 32, 1L << 32)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot count the pairs of a query and a key that mask 'full' leaves of 4294967296"
                + " queries and 4294967296 keys: expected less than 2^63; shorten the sequences");
  }

  @Test
  void sixteenBitsHalveWhatMovesAndDoubleTheTokensOfAFetchUnit() {
    Map<Key, String> options = Map.of(Key.KEY_VALUE_TYPE, "bf16", Key.SHARDS, "2");
    AttentionPlan half = plan(LAYOUT, options, sequence(90_000, 90_000));
    AttentionPlan whole = plan(LAYOUT, Map.of(Key.SHARDS, "2"), sequence(90_000, 90_000));
    assertThat(half.toString()).contains("keys, values bf16 (asked for), 46.1 MB\n");
    assertThat(whole.toString())
        .contains("keys, values f32 (the narrowest without loss), 92.2 MB\n");
    assertThat(half.keyRuns().get(0)).hasSize(2 * whole.keyRuns().get(0).size());
  }

  @Test
  void autoTakesTheRingWhereQueriesAreAsManyAsKeys() {
    AttentionPlan plan = plan(LAYOUT, Map.of(), sequence(50_000, 50_000));
    assertThat(plan.exchange()).isEqualTo(ExchangeKind.RING);
    assertThat(plan.toString())
        .containsPattern(
            "ring \\(fastest that fits, predicted .* s; rejected .*reduce: .* slower, .*; heads: .* slower, ");
  }

  @Test
  void autoTakesReduceWhereQueriesAreFew() {
    AttentionPlan plan = plan(LAYOUT, Map.of(), sequence(10, 5_000_000));
    assertThat(plan.exchange()).isEqualTo(ExchangeKind.REDUCE);
    assertThat(plan.toString())
        .containsPattern("reduce \\(fastest that fits, predicted .*s; rejected ring: .* slower, ");
  }

  @Test
  void whatIsAskedForIsTaken() {
    Map<Key, String> options = Map.of(Key.EXCHANGE, "reduce", Key.SHARDS, "9");
    AttentionPlan plan = plan(LAYOUT, options, sequence(50_000, 50_000));
    assertThat(plan.exchange()).isEqualTo(ExchangeKind.REDUCE);
    assertThat(plan.shards()).isEqualTo(9);
    assertThat(plan.toString()).contains("reduce (asked for, predicted ");
  }

  @Test
  void shardsAreTheSlotsAndUnequalWorkIsBalanced() {
    AttentionPlan full = plan(LAYOUT, Map.of(), sequence(8_192, 8_192));
    assertThat(full.shards()).isEqualTo(SLOTS);
    assertThat(full.assignment()).isEqualTo(BlockAssignment.CONTIGUOUS);
    Map<Key, String> causal = Map.of(Key.MASK, "causal");
    assertThat(plan(LAYOUT, causal, sequence(9_000, 9_000)).assignment())
        .isEqualTo(BlockAssignment.BALANCED);
    assertThat(plan(LAYOUT, Map.of(), sequence(9_000, 9_000), sequence(3, 3)).assignment())
        .isEqualTo(BlockAssignment.BALANCED);
  }

  /** The first blocks have less work, by half a block of the 16 of a rank, or of the one. */
  /** Contiguous shards move least; others are faster where their work is uneven. */
  @ParameterizedTest
  @CsvSource({"sliding-window:2047, true", "causal, false"})
  void neighboursStayTogetherWhereThatIsEven(String mask, boolean together) {
    ClusterFacts apart = FACTS.with(Fact.EXECUTORS, SLOTS).with(Fact.CORES, 1);
    Map<Key, String> options = Map.of(Key.MASK, mask, Key.EXCHANGE, "ring", Key.SHARDS, "4");
    AttentionConfig config = AttentionConfig.resolve(options, new SparkConf(false));
    long tokens = 400 * 2048;
    Workload workload =
        new Workload(
            LAYOUT, ElementType.F32, List.of(sequence(tokens, tokens)), Optional.empty(), config);
    AttentionPlan plan = new AttentionPlan(workload, config, apart);
    assertThat(plan.assignment() == BlockAssignment.CONTIGUOUS).isEqualTo(together);
  }

  @Test
  void tooManyLeavesAreRefused() {
    Map<Key, String> options = Map.of(Key.BLOCK_TOKENS, "1");
    HeadLayout small = new HeadLayout(1, 1, 1, 1);
    assertThat(plan(small, options, sequence(1, AttentionState.MAX_LEAVES)).keyRuns()).isNotEmpty();
    assertThatThrownBy(() -> plan(small, options, sequence(1, AttentionState.MAX_LEAVES + 1L)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot merge 65537 key blocks of sequence 's' exactly: expected at most 65536,"
                + " raise --block-tokens");
  }

  /** No memory could list the blocks. */
  @Test
  void tooManyLeavesAreRefusedBeforeTheyAreListed() {
    assertThatThrownBy(
            () -> plan(LAYOUT, Map.of(Key.BLOCK_TOKENS, "1"), sequence(1L << 50, 1L << 50)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("1125899906842624 key blocks");
  }

  @Test
  void aBlockThatNoArrayHoldsIsRefused() {
    HeadLayout wide = new HeadLayout(64, 64, 512, 512);
    Map<Key, String> options = Map.of(Key.BLOCK_TOKENS, "65536");
    assertThatThrownBy(() -> plan(wide, options, sequence(100_000, 100_000)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot hold a block of 65536 tokens × 64 heads × 528 in an array: expected at most"
                + " 2^31, lower --block-tokens");
    assertThat(plan(wide, options, sequence(1_000, 1_000)).queryBlocks()).hasSize(1);
  }
}

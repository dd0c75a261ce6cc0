package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.scores.Scores;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.ReferenceAttention;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.CausalAlignment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Softcap, biases, sinks and dropout on a cluster: one result over layouts, and the right one. */
class ScoreFunctionsTest {
  /** Grouped heads, of a number that is no power of two. */
  private static final HeadLayout LAYOUT = new HeadLayout(6, 2, 20, 12);

  private static final int TOKENS = 173;
  private static final int BLOCK_TOKENS = 32;
  private static final RandomSequence SEQUENCE = RandomSequence.of(81, LAYOUT, TOKENS, TOKENS);
  private static final RandomSequence CROSS = RandomSequence.of(82, LAYOUT, 61, TOKENS);

  /** All at once; of the relative biases a run has one. */
  private static final ScoreFunctions ALL =
      ScoreFunctions.of(
          ScoreFunction.SOFTCAP,
          ScoreFunction.ALIBI,
          ScoreFunction.RELATIVE_CAUSAL,
          ScoreFunction.POSITIONS,
          ScoreFunction.SINK,
          ScoreFunction.DROPOUT);

  private static final ScoreFunctions DROPOUT = ScoreFunctions.of(ScoreFunction.DROPOUT);
  private static final double P = ScoreFunction.P;

  @TempDir private static Path folder;
  private static AttentionFiles files;

  @BeforeAll
  static void writeInputs() {
    files = new AttentionFiles(LocalSession.get());
    files.writeTensors(folder.resolve("in.safetensors"), DataType.F32, 4, List.of(SEQUENCE));
    files.writeTensors(folder.resolve("cross.safetensors"), DataType.F32, 4, List.of(CROSS));
    files.writeTable(folder.resolve("in"), 3, "string", Map.of("s", SEQUENCE));
  }

  private static Map<Key, String> options(ScoreFunctions functions, String mask, String exchange) {
    Map<Key, String> options = functions.options();
    options.put(Key.MASK, mask);
    options.put(Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS));
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.NUM_HEADS, "6");
    options.put(Key.NUM_KV_HEADS, "2");
    return options;
  }

  private static AttentionConfig config(
      ScoreFunctions functions, String mask, String exchange, int shards) {
    Map<Key, String> options = options(functions, mask, exchange);
    options.put(Key.SHARDS, Integer.toString(shards));
    return functions.config(files.config(options));
  }

  /** The formula in float64. */
  private static ReferenceAttention.Result reference(
      RandomSequence sequence, AttentionMask mask, CausalAlignment alignment) {
    long offset = alignment.offset(sequence.queries(), sequence.keys());
    return sequence.reference(
        mask,
        alignment,
        (head, i, j, s) -> ALL.of(head, i + offset, j, s),
        ALL.weights(),
        ALL.sinks());
  }

  /** Pairs of them are {@link SupportTest}'s. */
  @ParameterizedTest
  @ValueSource(strings = {"full", "sliding-window:30,7"})
  void allAtOnceHaveOneResultAndTheRightOne(String mask) {
    AttentionConfig any = config(ALL, mask, "ring", 1);
    Attended one =
        SEQUENCE.alone(
            any.mask(), CausalAlignment.TOP_LEFT, BLOCK_TOKENS, Scores.of(any.scores(), 6));
    String what = "%s, %s, %s".formatted(ALL, mask, SEQUENCE);
    one.assertCloseTo(
        reference(SEQUENCE, any.mask(), CausalAlignment.TOP_LEFT), 0, ALL.factor(), what);

    boolean table = false;
    for (int shards : new int[] {1, 3, 7}) {
      for (String exchange : List.of("ring", "reduce")) {
        Path in = folder.resolve(table ? "in" : "in.safetensors");
        Path out = folder.resolve(table ? "out" : "out.safetensors");
        files.attend(in, out, true, config(ALL, mask, exchange, shards));
        Attended found =
            (table ? files.readTable(out, LAYOUT) : files.readTensors(out, LAYOUT)).get(0);
        found.assertSameBits(one, "%s, %d shards, %s".formatted(what, shards, exchange));
        // Files take turns so that each meets each exchange and each number of shards.
        table ^= exchange.equals("ring");
      }
    }
  }

  /** The last of 61 queries stands at the last of 173 keys; for dropout it is still at 60. */
  @ParameterizedTest
  @ValueSource(strings = {"ring", "reduce"})
  void biasesFollowTheAlignmentOfTheMask(String exchange) {
    Path out = folder.resolve("cross-out.safetensors");
    Map<Key, String> options = options(ALL, "causal", exchange);
    options.put(Key.CAUSAL_ALIGNMENT, "bottom-right");
    options.put(Key.BLOCK_TOKENS, "19");
    AttentionConfig config = ALL.config(files.config(options));
    files.attend(folder.resolve("cross.safetensors"), out, true, config);
    Attended found = files.readTensors(out, LAYOUT).get(0);
    found.assertCloseTo(
        reference(CROSS, config.mask(), CausalAlignment.BOTTOM_RIGHT),
        0,
        ALL.factor(),
        ALL + ", " + CROSS);
    found.assertSameBits(
        CROSS.alone(config.mask(), CausalAlignment.BOTTOM_RIGHT, 19, Scores.of(config.scores(), 6)),
        ALL);
  }

  /** Values of 1 and queries of 0: an output is the share of weights kept, over 1 − p. */
  @Test
  void dropoutDropsItsShareAlikeInEverySequence() {
    RandomSequence sequence = SEQUENCE.copy();
    Arrays.fill(sequence.query(), 0);
    Arrays.fill(sequence.value(), 1);
    Path in = folder.resolve("shares.safetensors");
    Path out = folder.resolve("shares-out.safetensors");
    files.writeTensors(in, DataType.F32, 4, List.of(sequence, sequence));
    files.attend(in, out, true, config(DROPOUT, "full", "ring", 2));
    List<Attended> both = files.readTensors(out, LAYOUT);
    both.get(1).assertSameBits(both.get(0), "the second of a batch");

    float[] output = both.get(0).output();
    double kept = 0;
    for (int i = 0; i < output.length; i += LAYOUT.valueDim()) {
      kept += output[i] * (1 - P) * TOKENS;
    }
    double weights = 6.0 * TOKENS * TOKENS;
    double sigma = Math.sqrt(weights * P * (1 - P));
    assertThat(kept).isCloseTo(weights * (1 - P), within(5 * sigma));
  }

  /** The mean of an output over seeds is that without dropout, within 5 standard errors. */
  @Test
  void dropoutLeavesTheMeanOverSeeds() {
    RandomSequence sequence = RandomSequence.of(84, LAYOUT, 9, 50);
    Attended plain = sequence.alone(AttentionMask.full(), BLOCK_TOKENS);
    int seeds = 400;
    double[] sum = new double[plain.output().length];
    double[] squares = new double[sum.length];
    for (int seed = 0; seed < seeds; seed++) {
      Map<Key, String> options = Map.of(Key.DROPOUT, "" + P, Key.SEED, "" + seed);
      Scores scores = Scores.of(files.config(options).scores(), 6);
      Attended one =
          sequence.alone(AttentionMask.full(), CausalAlignment.TOP_LEFT, BLOCK_TOKENS, scores);
      assertThat(Attended.bits(one.logSumExp())).isEqualTo(Attended.bits(plain.logSumExp()));
      for (int i = 0; i < sum.length; i++) {
        sum[i] += one.output()[i];
        squares[i] += (double) one.output()[i] * one.output()[i];
      }
    }
    for (int i = 0; i < sum.length; i++) {
      double mean = sum[i] / seeds;
      double error = Math.sqrt((squares[i] / seeds - mean * mean) / (seeds - 1));
      assertThat(mean)
          .as("output[%d] over %d seeds of %s", i, seeds, sequence)
          .isCloseTo(plain.output()[i], within(5 * error));
    }
  }

  @ParameterizedTest
  @CsvSource({"NaN, NaN, ring", "Infinity, Infinity, reduce"})
  void aFunctionThatGivesNoBiasEndsTheRun(float value, String found, String exchange) {
    AttentionConfig config =
        config(ScoreFunctions.of(ScoreFunction.SINK), "causal", exchange, 3)
            .withBias((head, query, key) -> head == 4 && query == 40 && key == 7 ? value : 0);
    assertThatThrownBy(
            () ->
                files.attend(
                    folder.resolve("in"), folder.resolve("never.safetensors"), false, config))
        .hasStackTraceContaining(
            "InvalidInputException: Invalid bias in sequence 's', head 4, position 40: found %s,"
                + " expected a number or -Infinity; correct the function of positions",
            found);
    assertThat(folder.resolve("never.safetensors")).doesNotExist();
  }
}

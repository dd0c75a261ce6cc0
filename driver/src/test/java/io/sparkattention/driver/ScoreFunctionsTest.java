package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.scores.PositionBias;
import io.sparkattention.driver.scores.Scores;
import io.sparkattention.kernels.Dropout;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.ReferenceAttention;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.CausalAlignment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Softcap, biases, sinks and dropout on a cluster: one result over layouts, and the right one. */
class ScoreFunctionsTest {
  /** Grouped heads, of a number that is no power of two. */
  private static final HeadLayout LAYOUT = new HeadLayout(6, 2, 20, 12);

  private static final int TOKENS = 173;
  private static final int BLOCK_TOKENS = 32;
  private static final RandomSequence SEQUENCE = RandomSequence.of(81, LAYOUT, TOKENS, TOKENS);
  private static final RandomSequence CROSS = RandomSequence.of(82, LAYOUT, 61, TOKENS);

  private static final float[] SINKS = {-3, -0.5f, 0, 1.25f, 4, 40};
  private static final double[] SLOPES = {0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125};
  private static final double P = 0.3;
  private static final long SEED = -77;

  /** [32 buckets, 6 heads]; what a bucket weighs −∞ is masked. */
  private static final float[] WEIGHTS = weights();

  @TempDir private static Path folder;
  private static AttentionFiles files;

  /** A function of positions, bounded; beyond the settings' reach. */
  private static final PositionBias WAVES =
      (head, query, key) ->
          (query + 2 * key + head) % 11 == 0
              ? -1e9f
              : (float) Math.sin(query * 3 + key * (head + 1));

  /** The score functions of a run and the formula that they have to follow. */
  private enum Functions {
    SOFTCAP(Map.of(Key.SOFTCAP, "1.5")),
    ALIBI(Map.of(Key.ALIBI, "auto")),
    BIDIRECTIONAL(Map.of(Key.RELATIVE_BIAS, "bidirectional,128," + text(WEIGHTS))),
    CAUSAL(Map.of(Key.RELATIVE_BIAS, "causal,128," + text(WEIGHTS))),
    POSITIONS(Map.of()),
    SINK(Map.of(Key.SINKS, text(SINKS))),
    DROPOUT(Map.of(Key.DROPOUT, "" + P, Key.SEED, "" + SEED)),
    ALL(
        Map.of(
            Key.SOFTCAP,
            "1.5",
            Key.ALIBI,
            "auto",
            Key.RELATIVE_BIAS,
            "causal,128," + text(WEIGHTS),
            Key.SINKS,
            text(SINKS),
            Key.DROPOUT,
            "" + P,
            Key.SEED,
            "" + SEED));

    private final Map<Key, String> options;

    Functions(Map<Key, String> options) {
      this.options = options;
    }

    AttentionConfig of(AttentionConfig config) {
      return this == POSITIONS || this == ALL ? config.withBias(WAVES) : config;
    }

    private boolean has(Key key) {
      return options.containsKey(key);
    }

    ReferenceAttention.Result reference(
        RandomSequence sequence, AttentionMask mask, CausalAlignment alignment) {
      long offset = alignment.offset(sequence.queries(), sequence.keys());
      Dropout dropout = new Dropout(has(Key.DROPOUT) ? P : 0, SEED, 0, 0);
      double[] sinks = new double[SINKS.length];
      for (int head = 0; head < sinks.length; head++) {
        sinks[head] = has(Key.SINKS) ? SINKS[head] : Double.NEGATIVE_INFINITY;
      }
      return sequence.reference(
          mask,
          alignment,
          (head, i, j, s) -> score(head, i + offset, j, s),
          (head, i, j) -> dropout.keeps(head, i, j) ? 1 / (1 - dropout.probability()) : 0,
          sinks);
    }

    private double score(int head, long query, long key, double scaled) {
      double score = has(Key.SOFTCAP) ? 1.5 * Math.tanh(scaled / 1.5) : scaled;
      long distance = key - query;
      if (has(Key.ALIBI)) {
        score -= SLOPES[head] * Math.abs(distance);
      }
      if (has(Key.RELATIVE_BIAS)) {
        score += WEIGHTS[bucket(distance, this == BIDIRECTIONAL) * 6 + head];
      }
      float waves = this == POSITIONS || this == ALL ? WAVES.of(head, query, key) : 0;
      return waves < -1e6 ? Double.NEGATIVE_INFINITY : score + waves;
    }
  }

  /** The formula of T5's buckets in float64; the margin decides where an edge is a whole number. */
  private static int bucket(long distance, boolean bidirectional) {
    int buckets = bidirectional ? 16 : 32;
    int first = bidirectional && distance > 0 ? 16 : 0;
    double n = bidirectional ? Math.abs(distance) : Math.max(0, -distance);
    double exact = buckets / 2.0;
    double far = exact + Math.log(n / exact) / Math.log(128 / exact) * (buckets - exact) + 1e-9;
    return first + (int) (n < exact ? n : Math.min(far, buckets - 1));
  }

  private static float[] weights() {
    Random random = new Random(83);
    float[] weights = new float[32 * 6];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = random.nextInt(12) == 0 ? -1e7f : (float) random.nextGaussian();
    }
    return weights;
  }

  private static String text(float[] numbers) {
    return IntStream.range(0, numbers.length)
        .mapToObj(i -> Float.toString(numbers[i]))
        .collect(Collectors.joining(","));
  }

  @BeforeAll
  static void writeInputs() {
    files = new AttentionFiles(LocalSession.get());
    files.writeTensors(folder.resolve("in.safetensors"), DataType.F32, 4, List.of(SEQUENCE));
    files.writeTensors(folder.resolve("cross.safetensors"), DataType.F32, 4, List.of(CROSS));
    files.writeTable(folder.resolve("in"), 3, "string", Map.of("s", SEQUENCE));
  }

  private static AttentionConfig config(
      Functions functions, String mask, String exchange, int shards) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.putAll(functions.options);
    options.put(Key.MASK, mask);
    options.put(Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS));
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.SHARDS, Integer.toString(shards));
    options.put(Key.NUM_HEADS, "6");
    options.put(Key.NUM_KV_HEADS, "2");
    return functions.of(files.config(options));
  }

  private static double factor(AttentionConfig config) {
    return 1 / (1 - config.scores().dropout());
  }

  private static Stream<Arguments> functionsAndMasks() {
    return Arrays.stream(Functions.values())
        .flatMap(
            functions ->
                Stream.of("full", "causal", "sliding-window:30,7")
                    .map(mask -> Arguments.of(functions, mask)));
  }

  @ParameterizedTest
  @MethodSource("functionsAndMasks")
  void oneResultAndTheRightOne(Functions functions, String mask) {
    AttentionConfig any = config(functions, mask, "ring", 1);
    Attended one =
        SEQUENCE.alone(
            any.mask(), CausalAlignment.TOP_LEFT, BLOCK_TOKENS, Scores.of(any.scores(), 6));
    String what = "%s, %s, %s".formatted(functions, mask, SEQUENCE);
    one.assertCloseTo(
        functions.reference(SEQUENCE, any.mask(), CausalAlignment.TOP_LEFT), 0, factor(any), what);

    boolean table = false;
    for (int shards : new int[] {1, 3, 7}) {
      for (String exchange : List.of("ring", "reduce")) {
        Path in = folder.resolve(table ? "in" : "in.safetensors");
        Path out = folder.resolve(table ? "out" : "out.safetensors");
        files.attend(in, out, true, config(functions, mask, exchange, shards));
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
  @CsvSource({"ALIBI, ring", "CAUSAL, reduce", "POSITIONS, reduce", "DROPOUT, ring", "ALL, ring"})
  void biasesFollowTheAlignmentOfTheMask(Functions functions, String exchange) {
    Path out = folder.resolve("cross-out.safetensors");
    AttentionConfig top = config(functions, "causal", exchange, 3);
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.putAll(functions.options);
    options.put(Key.MASK, "causal");
    options.put(Key.CAUSAL_ALIGNMENT, "bottom-right");
    options.put(Key.BLOCK_TOKENS, "19");
    options.put(Key.EXCHANGE, exchange);
    files.attend(
        folder.resolve("cross.safetensors"), out, true, functions.of(files.config(options)));
    Attended found = files.readTensors(out, LAYOUT).get(0);
    found.assertCloseTo(
        functions.reference(CROSS, top.mask(), CausalAlignment.BOTTOM_RIGHT),
        0,
        factor(top),
        functions + ", " + CROSS);
    found.assertSameBits(
        CROSS.alone(top.mask(), CausalAlignment.BOTTOM_RIGHT, 19, Scores.of(top.scores(), 6)),
        functions);
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
    files.attend(in, out, true, config(Functions.DROPOUT, "full", "ring", 2));
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
        config(Functions.SINK, "causal", exchange, 3)
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

package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.ReferenceAttention;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.CausalAlignment;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Keys and values in 16 bits from file to file: without loss where the input has 16 bits. */
class KeyValueTypeTest {
  /** A block of all heads has more numbers than are read at a time. */
  private static final HeadLayout LAYOUT = new HeadLayout(16, 16, 72, 40);

  private static final int TOKENS = 1_100;

  @TempDir private Path folder;
  private AttentionFiles files;
  private Path in;

  @BeforeEach
  void open() {
    files = new AttentionFiles(LocalSession.get());
    in = folder.resolve("in.safetensors");
  }

  private static Map<Key, String> options(String exchange, String keyValueType) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, "causal");
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.KEY_VALUE_TYPE, keyValueType);
    options.put(Key.BLOCK_TOKENS, "600");
    options.put(Key.SHARDS, "2");
    options.put(Key.NUM_HEADS, Integer.toString(LAYOUT.numHeads()));
    return options;
  }

  private Path out(String name) {
    return folder.resolve(name + AttentionFiles.SAFETENSORS);
  }

  @ParameterizedTest
  @CsvSource({"BF16, 3, bf16", "F16, 4, f16"})
  void sixteenBitTensorsKeepTheirBits(DataType type, int rank, String kept) {
    RandomSequence sequence = RandomSequence.of(71, LAYOUT, TOKENS, TOKENS);
    files.writeTensors(in, type, rank, List.of(sequence));
    for (String exchange : List.of("ring", "reduce")) {
      Path auto = out(exchange + "-auto");
      Path whole = out(exchange + "-f32");
      AttentionReport report = files.attend(in, auto, options(exchange, "auto"));
      assertThat(report.keyValueType()).isEqualTo(kept);
      report = files.attend(in, whole, options(exchange, "f32"));
      assertThat(report.keyValueType()).isEqualTo("f32");
      assertThat(auto).as("%s", sequence).hasSameBinaryContentAs(whole);
    }
    Attended found = files.readTensors(out("ring-auto"), LAYOUT).get(0);
    RandomSequence rounded = sequence.rounded(type);
    Attended expected = rounded.alone(AttentionMask.causal(), 600);
    assertThat(Attended.bits(found.logSumExp())).isEqualTo(Attended.bits(expected.logSumExp()));
  }

  /** The bound of the kernels' README: float32 input, rounded to p bits, u = 2^-p. */
  @ParameterizedTest
  @CsvSource({"ring, bf16, 8", "reduce, f16, 11"})
  void float32TensorsAreRoundedWithinTheBound(String exchange, String type, int precision) {
    HeadLayout layout = new HeadLayout(6, 2, 48, 80);
    RandomSequence sequence = RandomSequence.of(72, layout, 150, 150);
    files.writeTensors(in, DataType.F32, 4, List.of(sequence));
    Path out = out("rounded");
    Map<Key, String> options = options(exchange, type);
    options.remove(Key.NUM_HEADS);
    options.put(Key.BLOCK_TOKENS, "64");
    assertThat(files.attend(in, out, options).keyValueType()).isEqualTo(type);
    Attended found = files.readTensors(out, layout).get(0);
    ReferenceAttention.Result expected =
        sequence.reference(AttentionMask.causal(), CausalAlignment.TOP_LEFT);

    double u = Math.scalb(1, -precision);
    double scoreError =
        u * maxNorm(sequence.query(), 48) * maxNorm(sequence.key(), 48) / Math.sqrt(48);
    double maxValue = maxNorm(sequence.value(), 1);
    // Room for fp16's subnormals and float32 arithmetic, both a thousand times smaller.
    double bound = 1.01 * (u + scoreError) * maxValue;
    assertThat(largestDifference(found.output(), expected.output())).isBetween(u / 100, bound);
    assertThat(largestDifference(found.logSumExp(), expected.logSumExp()))
        .isBetween(u / 100, 1.01 * scoreError);
  }

  private static double maxNorm(float[] rows, int dim) {
    double max = 0;
    for (int row = 0; row < rows.length; row += dim) {
      double squares = 0;
      for (int d = 0; d < dim; d++) {
        squares += (double) rows[row + d] * rows[row + d];
      }
      max = Math.max(max, Math.sqrt(squares));
    }
    return max;
  }

  private static double largestDifference(float[] found, double[] expected) {
    assertThat(found).hasSameSizeAs(expected);
    double max = 0;
    for (int i = 0; i < found.length; i++) {
      max = Math.max(max, Math.abs(found[i] - expected[i]));
    }
    return max;
  }

  @Test
  void aTableIsRoundedWhereThatIsAskedFor() {
    HeadLayout layout = new HeadLayout(2, 1, 24, 24);
    RandomSequence sequence = RandomSequence.of(73, layout, 90, 90).rounded(DataType.BF16);
    Path table = folder.resolve("table");
    files.writeTable(table, 2, "string", Map.of("s", sequence));
    Map<Key, String> options = options("ring", "bf16");
    options.put(Key.NUM_HEADS, "2");
    options.put(Key.NUM_KV_HEADS, "1");
    options.put(Key.BLOCK_TOKENS, "32");
    Path out = out("table");
    assertThat(files.attend(table, out, options).keyValueType()).isEqualTo("bf16");
    files
        .readTensors(out, layout)
        .get(0)
        .assertSameBits(sequence.alone(AttentionMask.causal(), 32), sequence);
  }

  @Test
  void aNumberThatTheTypeCannotHoldIsRefused() {
    HeadLayout layout = new HeadLayout(1, 1, 4, 4);
    RandomSequence sequence = RandomSequence.of(74, layout, 8, 8);
    sequence.value()[5 * 4 + 1] = 70_000;
    files.writeTensors(in, DataType.F32, 4, List.of(sequence));
    Map<Key, String> options = options("ring", "f16");
    options.remove(Key.NUM_HEADS);
    assertThatThrownBy(() -> files.attend(in, out("refused"), options))
        .hasRootCauseInstanceOf(io.sparkattention.kernels.InvalidElementException.class)
        .hasStackTraceContaining(
            "Invalid value in sequence '0', head 0, position 5: found 70000.0, expected finite and"
                + " at most 65504.0 when rounded to f16; correct the input or choose"
                + " --key-value-type f32");
  }
}

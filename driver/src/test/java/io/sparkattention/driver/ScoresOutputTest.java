package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsFile;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.ReferenceAttention;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Scores that are written out beside the output. */
class ScoresOutputTest {
  private static final HeadLayout LAYOUT = new HeadLayout(4, 2, 12, 20);
  private static final int QUERIES = 29;
  private static final int KEYS = 53;
  private static final RandomSequence SEQUENCE = RandomSequence.of(301, LAYOUT, QUERIES, KEYS);
  private static final double TOLERANCE = 3e-6;

  @TempDir private Path folder;
  private AttentionFiles files;
  private Path in;
  private Path out;

  @BeforeEach
  void open() {
    files = new AttentionFiles(LocalSession.get());
    in = folder.resolve("in.safetensors");
    out = folder.resolve("out.safetensors");
  }

  private static Map<Key, String> options(String mask, String exchange, int stage) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, mask);
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.SHARDS, "3");
    options.put(Key.BLOCK_TOKENS, "16");
    options.put(Key.SCORES_OUTPUT, Integer.toString(stage));
    return options;
  }

  private static double score(int head, int i, int j) {
    int dim = LAYOUT.keyDim();
    double sum = 0;
    for (int d = 0; d < dim; d++) {
      int query = (head * QUERIES + i) * dim + d;
      int key = (LAYOUT.keyValueHead(head) * KEYS + j) * dim + d;
      sum += (double) SEQUENCE.query()[query] * SEQUENCE.key()[key];
    }
    return sum / Math.sqrt(dim);
  }

  /** Of 53 keys the last ones are padding; a query sees those up to itself, of the others. */
  @ParameterizedTest
  @CsvSource({
    "0, ring, 53",
    "1, reduce, 41",
    "2, ring, 41",
    "2, reduce, 0",
    "3, ring, 0",
    "3, reduce, 48"
  })
  void everyStage(int stage, String exchange, int keys) {
    new TensorFile()
        .with("query", DataType.F32, SEQUENCE.query(), 1, 4, QUERIES, 12)
        .with("key", DataType.F32, SEQUENCE.key(), 1, 2, KEYS, 12)
        .with("value", DataType.F32, SEQUENCE.value(), 1, 2, KEYS, 20)
        .with("nonpad_kv_seqlen", DataType.I64, keys)
        .write(in);
    files.attend(in, out, options("sliding-window:15", exchange, stage));
    SafetensorsFile file =
        SafetensorsFile.open(new org.apache.hadoop.fs.Path(out.toString()), new Configuration());
    assertThat(file.tensor("qk_matmul_output").shape()).containsExactly(1L, 4L, 29L, 53L);
    float[] found = files.read(file, "qk_matmul_output");
    float[] logSumExp = files.read(file, "log_sum_exp");
    for (int row = 0; row < 4 * QUERIES; row++) {
      int i = row % QUERIES;
      int diagonal = i + keys - QUERIES;
      for (int j = 0; j < KEYS; j++) {
        boolean seen = j <= diagonal && j >= diagonal - 15;
        double expected = Double.NEGATIVE_INFINITY;
        if (j < keys && (seen || stage < 2)) {
          expected = score(row / QUERIES, i, j);
        }
        if (stage == 3) {
          boolean masked = expected == Double.NEGATIVE_INFINITY;
          expected = masked ? 0 : Math.exp(expected - logSumExp[row]);
        }
        float it = found[row * KEYS + j];
        if (expected == Double.NEGATIVE_INFINITY) {
          assertThat(it).as("[%d, %d], %s", row, j, SEQUENCE).isEqualTo((float) expected);
        } else {
          assertThat((double) it)
              .as("[%d, %d], %s", row, j, SEQUENCE)
              .isCloseTo(expected, within(TOLERANCE));
        }
      }
    }
  }

  /** Of probabilities p scores are log p + logSumExp: what adds to them, and all that masks. */
  @ParameterizedTest
  @CsvSource({"2, ring", "2, reduce", "3, ring", "3, reduce"})
  void stagesBehindScoreFunctionsAndMasks(int stage, String exchange) {
    SupportCell cell =
        new SupportCell(
            List.of(MaskKind.NUMBERS, MaskKind.BLOCK_TOP_K),
            "&",
            ScoreFunctions.of(
                ScoreFunction.SOFTCAP,
                ScoreFunction.ALIBI,
                ScoreFunction.POSITIONS,
                ScoreFunction.SINK),
            SupportCell.GROUPED,
            DataType.F32,
            InputShape.MORE_KEYS_AT_THE_END);
    cell.file().write(in);
    Map<Key, String> options = cell.options(exchange, 3);
    options.put(Key.SCORES_OUTPUT, Integer.toString(stage));
    files.attend(in, out, false, cell.functions().config(files.config(options)));
    SafetensorsFile file =
        SafetensorsFile.open(new org.apache.hadoop.fs.Path(out.toString()), new Configuration());
    float[] found = files.read(file, "qk_matmul_output");
    ReferenceAttention.Result reference = cell.reference(0);
    double[] weights = reference.probabilities();
    assertThat(found).as("%s", cell).hasSameSizeAs(weights);
    for (int i = 0; i < found.length; i++) {
      double expected = weights[i];
      if (stage == 2) {
        expected = Math.log(expected) + reference.logSumExp()[i / cell.shape().keys()];
      }
      if (!(found[i] == expected)) {
        // Scores of biases reach far beyond 10, the size that the tolerance is meant for.
        double tolerance = TOLERANCE * Math.max(1, Math.abs(expected) / 10);
        assertThat((double) found[i])
            .as("[%d], %s", i, cell)
            .isCloseTo(expected, within(tolerance));
      }
    }
  }

  @Test
  void theOutputItselfIsTheSame() throws IOException {
    files.writeTensors(in, DataType.BF16, 3, List.of(SEQUENCE));
    Map<Key, String> options = options("causal", "ring", 2);
    options.put(Key.NUM_HEADS, "4");
    options.put(Key.NUM_KV_HEADS, "2");
    files.attend(in, out, options);
    Attended with = files.readTensors(out, LAYOUT).get(0);
    options.remove(Key.SCORES_OUTPUT);
    files.attend(in, out, true, options);
    with.assertSameBits(files.readTensors(out, LAYOUT).get(0), SEQUENCE);
  }

  @Test
  void onlyOfSmallInputsAndToTensors() {
    HeadLayout one = new HeadLayout(1, 1, 1, 1);
    files.writeTensors(in, DataType.F32, 4, List.of(RandomSequence.of(1, one, 4097, 4096)));
    Map<Key, String> options = options("full", "ring", 0);
    assertThatThrownBy(() -> files.attend(in, out, options))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot write 16781312 scores of 1 sequences × 1 heads × 4097 queries × 4096 keys:"
                + " expected at most 16777216; shorten the input or leave out --scores-output");
    Path table = folder.resolve("table");
    assertThatThrownBy(() -> files.attend(in, table, options))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("Cannot write scores to '" + table + "': found a Parquet dataset");
    assertThat(Files.exists(out)).isFalse();
  }

  @Test
  void scoresOfATable() {
    RandomSequence sequence = RandomSequence.of(302, LAYOUT, 20, 20);
    Path table = folder.resolve("table");
    files.writeTable(table, 2, "string", Map.of("s", sequence));
    Map<Key, String> options = options("causal", "reduce", 3);
    options.put(Key.NUM_HEADS, "4");
    options.put(Key.NUM_KV_HEADS, "2");
    files.attend(table, out, options);
    SafetensorsFile file =
        SafetensorsFile.open(new org.apache.hadoop.fs.Path(out.toString()), new Configuration());
    float[] weights = files.read(file, "qk_matmul_output");
    for (int row = 0; row < 4 * 20; row++) {
      double sum = 0;
      for (int j = 0; j < 20; j++) {
        sum += weights[row * 20 + j];
      }
      assertThat(sum).as("%s", sequence).isCloseTo(1, within(TOLERANCE));
    }
  }
}

package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sequences of unequal length in one dataset do not touch each other, to the bit. */
class ManySequencesTest {
  private static final HeadLayout LAYOUT = new HeadLayout(2, 1, 16, 8);
  private static final String LONG_ID = "the long one";
  private static final int BLOCK_TOKENS = 128;

  private final SparkSession spark = LocalSession.get();
  private final AttentionFiles files = new AttentionFiles(spark);
  @TempDir private Path folder;
  private Path table;
  private Path out;

  @BeforeEach
  void choosePaths() {
    table = folder.resolve("table");
    out = folder.resolve("out");
  }

  private static Map<Key, String> options(String exchange) {
    return Map.of(
        Key.MASK, "causal",
        Key.EXCHANGE, exchange,
        Key.NUM_HEADS, "2",
        Key.NUM_KV_HEADS, "1",
        Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS),
        Key.SHARDS, "4");
  }

  /** Short sequences of 1 to 40 tokens. */
  private static RandomSequence shortSequence(Random random) {
    int tokens = 1 + random.nextInt(40);
    return RandomSequence.of(random.nextLong(), LAYOUT, tokens, tokens);
  }

  @ParameterizedTest
  @CsvSource({"ring", "reduce"})
  void twoHundredShortOnesAndALongOne(String exchange) {
    Random random = new Random(71);
    Map<String, RandomSequence> sequences = new TreeMap<>();
    for (int i = 0; i < 200; i++) {
      sequences.put("short '" + i + "'", shortSequence(random));
    }
    sequences.put(LONG_ID, RandomSequence.of(72, LAYOUT, 5_000, 5_000));
    files.writeTable(table, 5, "string", sequences);
    AttentionReport report = files.attend(table, out, options(exchange));
    assertThat(report.tokens())
        .isEqualTo(sequences.values().stream().mapToLong(RandomSequence::queries).sum());

    List<Attended> found = files.readTable(out, LAYOUT);
    assertThat(found).hasSameSizeAs(sequences.values());
    int next = 0;
    for (RandomSequence sequence : sequences.values()) {
      found
          .get(next++)
          .assertSameBits(sequence.alone(AttentionMask.causal(), BLOCK_TOKENS), sequence);
    }
    assertThat(spark.read().parquet(out.toString()).select("sequence_id").distinct().count())
        .isEqualTo(sequences.size());
  }

  /** Numbers sort as numbers, and the column keeps its type. */
  @ParameterizedTest
  @CsvSource({"bigint", "int", "smallint"})
  void integerIds(String type) {
    Random random = new Random(81);
    Map<Integer, RandomSequence> sequences = new TreeMap<>();
    Map<String, RandomSequence> byText = new TreeMap<>();
    for (int id : new int[] {-3, 2, 10, 700}) {
      RandomSequence sequence = shortSequence(random);
      sequences.put(id, sequence);
      byText.put(Integer.toString(id), sequence);
    }
    files.writeTable(table, 2, type, byText);
    files.attend(table, out, options("auto"));

    assertThat(spark.read().parquet(out.toString()).schema().apply("sequence_id").dataType().sql())
        .isEqualToIgnoringCase(type);
    List<Attended> found = files.readTable(out, LAYOUT);
    List<RandomSequence> inOrder = new ArrayList<>(sequences.values());
    assertThat(found).hasSameSizeAs(inOrder);
    for (int s = 0; s < inOrder.size(); s++) {
      found
          .get(s)
          .assertSameBits(
              inOrder.get(s).alone(AttentionMask.causal(), BLOCK_TOKENS), inOrder.get(s));
    }
  }

  /** The batch of a tensor is as many sequences, each as if it were alone. */
  @Test
  void aBatchEqualsItsElements() {
    List<RandomSequence> batch = RandomSequence.batch(3, 91, LAYOUT, 300, 300);
    Path tensors = folder.resolve("in.safetensors");
    Path attended = folder.resolve("out.safetensors");
    files.writeTensors(tensors, DataType.F32, 4, batch);
    files.attend(
        tensors,
        attended,
        Map.of(Key.MASK, "causal", Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS)));
    List<Attended> found = files.readTensors(attended, LAYOUT);
    for (int b = 0; b < batch.size(); b++) {
      RandomSequence alone = batch.get(b);
      Path one = folder.resolve("in" + b + AttentionFiles.SAFETENSORS);
      Path itsOutput = folder.resolve("out" + b + AttentionFiles.SAFETENSORS);
      files.writeTensors(one, DataType.F32, 4, List.of(alone));
      files.attend(
          one,
          itsOutput,
          Map.of(Key.MASK, "causal", Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS)));
      found.get(b).assertSameBits(files.readTensors(itsOutput, LAYOUT).get(0), alone);
    }
  }
}

package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsInput;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Heads that are shared out give the bits of heads that stay together. */
class HeadsExchangeTest {
  private static final int TOKENS = 173;
  private static final int BLOCK_TOKENS = 32;
  private static final String MASK = "causal & (sinks:9 | dilated-window:90,3)";

  @TempDir private static Path folder;
  private static SparkSession spark;
  private static AttentionFiles files;

  @BeforeAll
  static void start() {
    spark = LocalSession.get();
    files = new AttentionFiles(spark);
  }

  private static Map<Key, String> options(HeadLayout layout, int shards) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, MASK);
    options.put(Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS));
    options.put(Key.EXCHANGE, "heads");
    options.put(Key.SHARDS, Integer.toString(shards));
    options.put(Key.NUM_HEADS, Integer.toString(layout.numHeads()));
    options.put(Key.NUM_KV_HEADS, Integer.toString(layout.numKeyValueHeads()));
    return options;
  }

  /** Fewer and more shards than key/value heads, and numbers that do not divide them. */
  @ParameterizedTest
  @CsvSource({"1, 1", "4, 4", "8, 2", "6, 3", "5, 1"})
  void headLayoutsOverShards(int numHeads, int numKeyValueHeads) {
    HeadLayout layout = new HeadLayout(numHeads, numKeyValueHeads, 20, 12);
    RandomSequence sequence = RandomSequence.of(211, layout, TOKENS, TOKENS);
    Attended alone = sequence.alone(AttentionMask.parse(MASK), BLOCK_TOKENS);
    String name = numHeads + "-" + numKeyValueHeads;
    Path tensors = folder.resolve(name + "-in" + AttentionFiles.SAFETENSORS);
    Path table = folder.resolve(name + "-in");
    files.writeTensors(tensors, DataType.F32, 4, List.of(sequence));
    files.writeTable(table, 2, "string", Map.of("s", sequence));
    for (int shards : new int[] {1, 2, 3, 7}) {
      boolean fromTable = shards == 2;
      Path out = folder.resolve(name + (fromTable ? "-out" : "-out" + AttentionFiles.SAFETENSORS));
      files.attend(fromTable ? table : tensors, out, true, options(layout, shards));
      List<Attended> found =
          fromTable ? files.readTable(out, layout) : files.readTensors(out, layout);
      found.get(0).assertSameBits(alone, "%d shards, %s".formatted(shards, sequence));
    }
  }

  /** Each mask with all scores at once, which know their heads. */
  @ParameterizedTest
  @EnumSource(MaskKind.class)
  void masksAndScoresOfEachHead(MaskKind mask) {
    ScoreFunctions scores =
        ScoreFunctions.of(
            ScoreFunction.SCALE,
            ScoreFunction.SOFTCAP,
            ScoreFunction.ALIBI,
            mask.ordinal() % 2 == 0
                ? ScoreFunction.RELATIVE_BOTH_WAYS
                : ScoreFunction.RELATIVE_CAUSAL,
            ScoreFunction.POSITIONS,
            ScoreFunction.SINK,
            ScoreFunction.DROPOUT);
    InputShape shape = InputShape.values()[mask.ordinal() % InputShape.values().length];
    int[] keyValueHeads = {6, 3, 2};
    HeadLayout layout =
        new HeadLayout(ScoreFunction.HEADS, keyValueHeads[mask.ordinal() % 3], 12, 20);
    SupportCell cell = SupportCell.of(mask, scores, shape).with(layout);
    Path in = folder.resolve(mask + AttentionFiles.SAFETENSORS);
    cell.file().write(in);
    List<Attended> ring = attend(cell, in, "ring", 2);
    List<Attended> heads = attend(cell, in, "heads", 2 + mask.ordinal() % 3);
    for (int b = 0; b < ring.size(); b++) {
      heads.get(b).assertSameBits(ring.get(b), cell + ", sequence " + b);
    }
  }

  private static List<Attended> attend(SupportCell cell, Path in, String exchange, int shards) {
    AttentionConfig config = cell.config(spark.sparkContext().conf(), exchange, shards);
    CollectedOutput out = new CollectedOutput();
    new DistributedAttention(spark, 0)
        .run(SafetensorsInput.open(spark, in.toString(), config), config, out);
    return out.sequences();
  }

  /** Of pairs that the plan does not know each head is counted once. */
  @Test
  void countsThePairsOfAllHeads() {
    SupportCell cell = SupportCell.of(MaskKind.BOOLS, ScoreFunctions.of(), InputShape.SELF);
    Path in = folder.resolve("counted" + AttentionFiles.SAFETENSORS);
    cell.file().write(in);
    long[] pairs = new long[2];
    for (int i = 0; i < pairs.length; i++) {
      AttentionConfig config =
          cell.config(spark.sparkContext().conf(), i == 0 ? "ring" : "heads", 2);
      SafetensorsInput input = SafetensorsInput.open(spark, in.toString(), config);
      pairs[i] =
          new DistributedAttention(spark, 0)
              .run(input, config, new CollectedOutput())
              .unmaskedPairs();
    }
    assertThat(pairs[1]).isPositive().isEqualTo(pairs[0]);
  }

  /** The fifth query head of six is the second of its slice. */
  @Test
  void anErrorNamesTheHeadOfAll() {
    HeadLayout layout = new HeadLayout(6, 2, 4, 4);
    RandomSequence sequence = RandomSequence.of(213, layout, 9, 9);
    sequence.query()[4 * 9 * 4 + 7 * 4] = 1e20f;
    Path in = folder.resolve("wrong" + AttentionFiles.SAFETENSORS);
    files.writeTensors(in, DataType.F32, 4, List.of(sequence));
    Map<Key, String> options = options(layout, 2);
    options.put(Key.MASK, "full");
    Path out = folder.resolve("wrong-out" + AttentionFiles.SAFETENSORS);
    assertThat(messageOf(() -> files.attend(in, out, options)))
        .contains("Invalid score in sequence '0', head 4, position 7: ");
  }

  private static String messageOf(Runnable run) {
    try {
      run.run();
      return "";
    } catch (Exception e) {
      return e.toString();
    }
  }
}

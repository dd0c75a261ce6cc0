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
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Key blocks that queries choose by their mean keys, against a choice in float64. */
class BlockTopKTest {
  private static final HeadLayout LAYOUT = new HeadLayout(4, 2, 12, 10);
  private static final int TOKENS = 151;

  /** Blocks of the mask; a block of the run has four of them. */
  private static final int SIZE = 8;

  private static final RandomSequence SEQUENCE = RandomSequence.of(91, LAYOUT, TOKENS, TOKENS);
  private static final RandomSequence OTHER = RandomSequence.of(92, LAYOUT, TOKENS, TOKENS);

  @TempDir private Path folder;
  private AttentionFiles files;
  private Path in;

  @BeforeEach
  void writeInput() {
    files = new AttentionFiles(LocalSession.get());
    in = folder.resolve("in.safetensors");
    files.writeTensors(in, DataType.F32, 4, List.of(SEQUENCE, OTHER));
  }

  private static Map<Key, String> options(String mask, String exchange, int shards) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, mask);
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.SHARDS, Integer.toString(shards));
    options.put(Key.BLOCK_TOKENS, Integer.toString(4 * SIZE));
    return options;
  }

  private List<Attended> attend(Map<Key, String> options) {
    Path out = folder.resolve("out.safetensors");
    files.attend(in, out, true, options);
    return files.readTensors(out, LAYOUT);
  }

  /**
   * @param rest the mask in which all blocks are chosen: what may be chosen from
   */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "block-top-k:3,8; full",
        "causal & block-top-k:1,8; causal",
        "causal & block-top-k:5,8; causal",
        "causal & (sinks:3 | block-top-k:2,8); causal",
        "sliding-window:60,20 & block-top-k:4,8; sliding-window:60,20"
      })
  void choosesByTheMeanKeys(String mask, String rest) {
    AttentionMask all = AttentionMask.parse(rest);
    List<Attended> one = attend(options(mask, "ring", 1));
    for (int s = 0; s < 2; s++) {
      RandomSequence sequence = s == 0 ? SEQUENCE : OTHER;
      one.get(s).assertCloseTo(reference(sequence, mask, all), 0, mask + ", " + sequence);
    }
    for (int shards : new int[] {3, 7}) {
      for (String exchange : List.of("ring", "reduce")) {
        List<Attended> found = attend(options(mask, exchange, shards));
        for (int s = 0; s < 2; s++) {
          found.get(s).assertSameBits(one.get(s), mask + ", " + exchange + ", " + shards);
        }
      }
    }
  }

  private static ReferenceAttention.Result reference(
      RandomSequence sequence, String mask, AttentionMask all) {
    int count = AttentionMask.parse(mask).topK().orElseThrow().count();
    boolean[][][] chosen = new boolean[LAYOUT.numHeads()][TOKENS][];
    for (int head = 0; head < chosen.length; head++) {
      for (int query = 0; query < TOKENS; query++) {
        chosen[head][query] =
            new ChosenBlocks(sequence, SIZE, count)
                .of(head, query, query, (i, key) -> RandomSequence.sees(all, i, key, 0));
      }
    }
    double[] sinks = new double[LAYOUT.numHeads()];
    Arrays.fill(sinks, Double.NEGATIVE_INFINITY);
    boolean firstAreSeen = mask.contains("sinks:3");
    return sequence.reference(
        all,
        CausalAlignment.TOP_LEFT,
        (head, query, key, score) ->
            chosen[head][query][key / SIZE] || (firstAreSeen && key < 3)
                ? score
                : Double.NEGATIVE_INFINITY,
        (head, query, key) -> 1,
        sinks);
  }

  @Test
  void whereAllAreChosenNothingChanges() {
    List<Attended> plain = attend(options("causal", "ring", 2));
    List<Attended> chosen = attend(options("causal & block-top-k:19,8", "reduce", 3));
    chosen.get(0).assertSameBits(plain.get(0), SEQUENCE);
    chosen.get(1).assertSameBits(plain.get(1), OTHER);
  }

  @Test
  void theReportCountsWhatWasChosen() {
    AttentionReport report =
        files.attend(
            in, folder.resolve("o.safetensors"), options("causal & block-top-k:1,8", "ring", 3));
    // The own block alone: of 18 blocks of 8 and one of 7, the lower half with the diagonal.
    long pairs = 2 * (18 * 36 + 28);
    assertThat(report.unmaskedPairs()).isEqualTo(pairs);
    assertThat(report.flops()).isEqualTo(2.0 * pairs * 4 * 22);
    assertThat(report.approximate()).isTrue();
  }

  @Test
  void refusesBlocksThatDoNotFit() {
    assertThatThrownBy(() -> attend(options("block-top-k:2,12", "ring", 1)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot choose key blocks of 12 tokens: expected a SIZE that divides the 32 tokens of a"
                + " block; correct the mask or --block-tokens");
  }
}

package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.CausalAlignment;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The result depends on the input, the mask and the block size alone, to the bit. */
class SameBitsTest {
  private static final HeadLayout LAYOUT = new HeadLayout(2, 2, 64, 64);
  private static final int TOKENS = 3_000;
  private static final int BLOCK_TOKENS = 256;
  private static final RandomSequence SEQUENCE = RandomSequence.of(51, LAYOUT, TOKENS, TOKENS);

  @TempDir private static Path folder;
  private static AttentionFiles files;
  private static Path in;

  /** SHA-256 of the one output file that there may be. */
  private static String expectedHash;

  /** What that file holds. */
  private static Attended expected;

  @BeforeAll
  static void runOnce() throws IOException {
    files = new AttentionFiles(LocalSession.get());
    in = folder.resolve("in.safetensors");
    Path out = folder.resolve("out.safetensors");
    files.writeTensors(in, DataType.F32, 4, List.of(SEQUENCE));
    files.attend(in, out, options("causal", BLOCK_TOKENS, 1));
    expectedHash = hash(out);
    expected = files.readTensors(out, LAYOUT).get(0);
    expected.assertSameBits(SEQUENCE.alone(AttentionMask.causal(), BLOCK_TOKENS), SEQUENCE);
  }

  private static Map<Key, String> options(String mask, int blockTokens, int shards) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, mask);
    options.put(Key.BLOCK_TOKENS, Integer.toString(blockTokens));
    options.put(Key.SHARDS, Integer.toString(shards));
    return options;
  }

  private static String hash(Path file) throws IOException {
    try {
      MessageDigest sha = MessageDigest.getInstance("SHA-256");
      return HexFormat.of().formatHex(sha.digest(Files.readAllBytes(file)));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  /** 12 blocks: the last row has more shards than blocks. */
  @ParameterizedTest
  @CsvSource({
    "1, ring",
    "1, reduce",
    "3, ring",
    "3, reduce",
    "3, broadcast",
    "7, ring",
    "7, reduce",
    "16, broadcast",
    "16, ring",
    "16, reduce",
    "1, heads",
    "3, heads"
  })
  void oneHashForEveryShardCountExchangeAndAssignment(int shards, String exchange)
      throws IOException {
    for (String assignment : List.of("contiguous", "zigzag", "striped", "balanced")) {
      Path out = folder.resolve(shards + exchange + assignment + AttentionFiles.SAFETENSORS);
      Map<Key, String> options = options("causal", BLOCK_TOKENS, shards);
      options.put(Key.EXCHANGE, exchange);
      options.put(Key.ASSIGNMENT, assignment);
      AttentionReport report = files.attend(in, out, options);
      assertThat(hash(out))
          .as("%d shards, %s, %s, %s", shards, exchange, assignment, SEQUENCE)
          .isEqualTo(expectedHash);
      assertThat(report.assignment()).isEqualTo(assignment);
      assertThat(report.shards()).isEqualTo(shards);
    }
  }

  @ParameterizedTest
  @CsvSource({"1, 5, ring", "4, 3, reduce", "3, 2, heads"})
  void aShuffledTableHasTheSameBits(int fileCount, int shards, String exchange) {
    Path table = folder.resolve("table" + fileCount);
    files.writeTable(table, fileCount, "string", Map.of("s", SEQUENCE));
    Path out = folder.resolve("attended" + fileCount);
    Map<Key, String> options = options("causal", BLOCK_TOKENS, shards);
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.NUM_HEADS, "2");
    files.attend(table, out, options);
    files.readTable(out, LAYOUT).get(0).assertSameBits(expected, SEQUENCE);
  }

  /**
   * Of an odd length, in blocks whose edges are nobody's, with grouped heads, from both kinds of
   * files: compositions of several masks. Pairs of them are {@link SupportTest}'s.
   */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "causal & (documents:50,71 | global-positions:60)",
        "bigbird:12,3,2,7,16,11 & (sinks:9 | dilated-window:60,3,9)"
      })
  void composedMasksHaveOneResult(String text) {
    HeadLayout layout = new HeadLayout(4, 2, 20, 12);
    RandomSequence sequence = RandomSequence.of(71, layout, 173, 173);
    AttentionMask mask = AttentionMask.parse(text);
    Attended one = sequence.alone(mask, 32);
    one.assertCloseTo(
        sequence.reference(mask, CausalAlignment.TOP_LEFT), 0, text + ", " + sequence);

    Path tensors = folder.resolve("masked.safetensors");
    Path table = folder.resolve("masked");
    if (Files.notExists(table)) {
      files.writeTensors(tensors, DataType.F32, 4, List.of(sequence));
      files.writeTable(table, 3, "string", Map.of("s", sequence));
    }
    boolean fromTable = false;
    for (int shards : new int[] {1, 3, 7}) {
      for (String exchange : List.of("ring", "reduce", "broadcast")) {
        Map<Key, String> options = options(text, 32, shards);
        options.put(Key.EXCHANGE, exchange);
        options.put(Key.NUM_HEADS, "4");
        options.put(Key.NUM_KV_HEADS, "2");
        Path out = folder.resolve(fromTable ? "masked-out" : "masked-out.safetensors");
        files.attend(fromTable ? table : tensors, out, true, options);
        Attended found =
            (fromTable ? files.readTable(out, layout) : files.readTensors(out, layout)).get(0);
        found.assertSameBits(
            one, "%s, %d shards, %s, %s".formatted(text, shards, exchange, sequence));
        // Files take turns so that each meets each exchange and each number of shards.
        fromTable ^= !exchange.equals("reduce");
      }
    }
  }

  /** The blocks of global queries have more work than a rank's share. */
  @Test
  void cutQueryBlocksHaveTheSameResult() {
    HeadLayout layout = new HeadLayout(2, 1, 8, 8);
    RandomSequence sequence = RandomSequence.of(72, layout, 173, 173);
    String text = "sliding-window:3,3 | global:5";
    Attended one = sequence.alone(AttentionMask.parse(text), 4);
    Path tensors = folder.resolve("global.safetensors");
    Path table = folder.resolve("global");
    files.writeTensors(tensors, DataType.F32, 4, List.of(sequence));
    files.writeTable(table, 2, "string", Map.of("s", sequence));
    Map<Key, String> options = options(text, 4, 5);
    options.put(Key.EXCHANGE, "ring");
    options.put(Key.NUM_HEADS, "2");
    options.put(Key.NUM_KV_HEADS, "1");
    for (String assignment : List.of("zigzag", "balanced")) {
      options.put(Key.ASSIGNMENT, assignment);
      Path out = folder.resolve(assignment + "-global.safetensors");
      AttentionReport report = files.attend(tensors, out, options);
      files.readTensors(out, layout).get(0).assertSameBits(one, text + ", " + sequence);
      if (assignment.equals("balanced")) {
        assertThat(report.skewMaxOverMean()).isLessThanOrEqualTo(1.10);
      } else {
        assertThat(report.skewMaxOverMean()).isGreaterThan(1.2);
      }
      Path rows = folder.resolve(assignment + "-global");
      files.attend(table, rows, options);
      files.readTable(rows, layout).get(0).assertSameBits(one, text + ", " + sequence);
    }
  }

  @Test
  void theScalarKernelHasTheSameBits() throws IOException {
    Path out = folder.resolve("scalar.safetensors");
    Map<Key, String> options = options("causal", BLOCK_TOKENS, 2);
    options.put(Key.KERNEL, "scalar");
    assertThat(files.attend(in, out, options).kernel()).isEqualTo("scalar");
    assertThat(hash(out)).as("%s", SEQUENCE).isEqualTo(expectedHash);
  }

  /** Fewer rows than shards, a single token among them, and blocks of a single token. */
  @ParameterizedTest
  @CsvSource({
    "1, 64, 5, ring",
    "1, 1, 3, reduce",
    "5, 1, 9, ring",
    "5, 2, 9, reduce",
    "5, 2, 9, heads"
  })
  void fewerRowsThanShards(int tokens, int blockTokens, int shards, String exchange) {
    HeadLayout layout = new HeadLayout(3, 1, 5, 7);
    RandomSequence sequence = RandomSequence.of(61, layout, tokens, tokens);
    String name = tokens + exchange;
    Path small = folder.resolve(name + "-in.safetensors");
    Path out = folder.resolve(name + "-out.safetensors");
    files.writeTensors(small, DataType.F32, 4, List.of(sequence));
    Map<Key, String> options = options("causal", blockTokens, shards);
    options.put(Key.EXCHANGE, exchange);
    files.attend(small, out, options);
    files
        .readTensors(out, layout)
        .get(0)
        .assertSameBits(sequence.alone(AttentionMask.causal(), blockTokens), sequence);
  }
}

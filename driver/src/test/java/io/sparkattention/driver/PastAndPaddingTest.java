package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsFile;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.CausalAlignment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Keys and values that come from a past, and those that are padding. */
class PastAndPaddingTest {
  private static final HeadLayout LAYOUT = new HeadLayout(4, 2, 12, 20);
  private static final int QUERIES = 23;
  private static final int KEYS = 90;
  private static final List<RandomSequence> BATCH =
      RandomSequence.batch(2, 101, LAYOUT, QUERIES, KEYS);

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

  private static Map<Key, String> options(String mask, String exchange, int shards) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, mask);
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.SHARDS, Integer.toString(shards));
    options.put(Key.BLOCK_TOKENS, "16");
    options.put(Key.NUM_HEADS, "4");
    options.put(Key.NUM_KV_HEADS, "2");
    return options;
  }

  /**
   * [batch, heads, tokens, dim] of tokens [from, to), or of rank 3 [batch, tokens, heads · dim].
   */
  private static float[] tokens(int rank, String name, int from, int to) {
    boolean isKey = name.equals("key");
    int heads = LAYOUT.numKeyValueHeads();
    int dim = isKey ? LAYOUT.keyDim() : LAYOUT.valueDim();
    int tokens = to - from;
    float[] result = new float[BATCH.size() * heads * tokens * dim];
    for (int b = 0; b < BATCH.size(); b++) {
      float[] all = isKey ? BATCH.get(b).key() : BATCH.get(b).value();
      for (int h = 0; h < heads; h++) {
        for (int t = 0; t < tokens; t++) {
          int row = rank == 4 ? (b * heads + h) * tokens + t : (b * tokens + t) * heads + h;
          System.arraycopy(all, (h * KEYS + from + t) * dim, result, row * dim, dim);
        }
      }
    }
    return result;
  }

  private static TensorFile file(int rank, DataType type, int past) {
    int heads = LAYOUT.numKeyValueHeads();
    int own = KEYS - past;
    TensorFile file = new TensorFile();
    float[] query = new float[0];
    for (RandomSequence sequence : BATCH) {
      float[] q = sequence.query();
      query = Arrays.copyOf(query, query.length + q.length);
      System.arraycopy(rank == 4 ? q : swapped(q), 0, query, query.length - q.length, q.length);
    }
    file.with("query", type, query, shape(rank, LAYOUT.numHeads(), QUERIES, LAYOUT.keyDim()));
    for (String name : List.of("key", "value")) {
      int dim = name.equals("key") ? LAYOUT.keyDim() : LAYOUT.valueDim();
      file.with(name, type, tokens(rank, name, past, KEYS), shape(rank, heads, own, dim));
      file.with("past_" + name, type, tokens(4, name, 0, past), shape(4, heads, past, dim));
    }
    return file;
  }

  private static float[] swapped(float[] byHead) {
    float[] byToken = new float[byHead.length];
    int dim = LAYOUT.keyDim();
    for (int h = 0; h < LAYOUT.numHeads(); h++) {
      for (int t = 0; t < QUERIES; t++) {
        int target = (t * LAYOUT.numHeads() + h) * dim;
        System.arraycopy(byHead, (h * QUERIES + t) * dim, byToken, target, dim);
      }
    }
    return byToken;
  }

  private static long[] shape(int rank, int heads, int tokens, int dim) {
    return rank == 4
        ? new long[] {BATCH.size(), heads, tokens, dim}
        : new long[] {BATCH.size(), tokens, (long) heads * dim};
  }

  private static SafetensorsFile open(Path file) {
    return SafetensorsFile.open(
        new org.apache.hadoop.fs.Path(file.toString()), new Configuration());
  }

  /**
   * The same keys in one tensor have the same bits. The past need not end where a block does, and
   * queries need not be as many as the new keys: the diagonal starts behind the past.
   */
  @ParameterizedTest
  @CsvSource({
    "4, F32, 37, causal, ring, 3",
    "4, F32, 67, sliding-window:20, reduce, 7",
    "3, F32, 67, causal, heads, 2",
    "3, F32, 32, causal, reduce, 3",
    "3, F16, 5, causal, ring, 1",
    "4, BF16, 89, full, ring, 3",
    "4, F64, 1, causal, reduce, 1",
    "3, F64, 11, causal, ring, 2",
    "4, F32, 0, causal, ring, 3"
  })
  void aPastEqualsTheSameKeysInOneTensor(
      int rank, DataType type, int past, String mask, String exchange, int shards) {
    file(rank, type, past).write(in);
    files.attend(in, out, options(mask, exchange, shards));

    // Under a mask without keys ahead, the last queries of fewer keys stand where these do.
    int seen = mask.equals("full") ? KEYS : past + QUERIES;
    Path whole = folder.resolve("whole.safetensors");
    Path wholeOut = folder.resolve("whole-out.safetensors");
    files.writeTensors(whole, type, rank, BATCH.stream().map(s -> s.withKeys(seen)).toList());
    Map<Key, String> options = options(mask, "ring", 1);
    options.put(Key.CAUSAL_ALIGNMENT, "bottom-right");
    files.attend(whole, wholeOut, options);
    List<Attended> expected = files.readTensors(wholeOut, LAYOUT);
    List<Attended> found = files.readTensors(out, LAYOUT);
    for (int b = 0; b < BATCH.size(); b++) {
      found.get(b).assertSameBits(expected.get(b), BATCH.get(b));
    }
    assertPresent(type);
  }

  /** Past and new keys, and values, together, whatever the rank of the new ones. */
  private void assertPresent(DataType type) {
    SafetensorsFile found = open(out);
    for (String name : List.of("key", "value")) {
      SafetensorsFile.Tensor tensor = found.tensor("present_" + name);
      int dim = name.equals("key") ? LAYOUT.keyDim() : LAYOUT.valueDim();
      assertThat(tensor.type()).isEqualTo(type);
      assertThat(tensor.shape()).containsExactly(2L, 2L, (long) KEYS, (long) dim);
      float[] exact = tokens(4, name, 0, KEYS);
      assertThat(files.read(found, tensor.name()))
          .as(tensor.name())
          .isEqualTo(RandomSequence.rounded(type, exact));
    }
  }

  @Test
  void aPastWithoutPresentInATable() {
    file(4, DataType.F32, 37).write(in);
    Path table = folder.resolve("table");
    files.attend(in, table, options("full", "ring", 2));
    List<Attended> found = files.readTable(table, LAYOUT);
    for (int b = 0; b < BATCH.size(); b++) {
      found
          .get(b)
          .assertCloseTo(
              BATCH.get(b).reference(AttentionMask.full(), CausalAlignment.TOP_LEFT),
              0,
              BATCH.get(b));
    }
  }

  /**
   * Padding is never read, so that it may be anything, and moves the diagonal to the last key that
   * is none: the bits are those of the sequence without it.
   */
  @ParameterizedTest
  @CsvSource({
    "causal, ring, 1, 0, 90, I64",
    "causal, reduce, 3, 45, 1, I32",
    "full, ring, 7, 16, 33, I64",
    "full, reduce, 2, 0, 0, I64",
    "causal, ring, 3, 0, 0, I32",
    "causal, heads, 3, 0, 0, I32",
    "full, heads, 2, 0, 90, I64",
    "sliding-window:9, reduce, 3, 23, 57, I32"
  })
  void paddingIsAsIfItWereNotThere(
      String mask, String exchange, int shards, int first, int second, DataType type) {
    int[] counts = {first, second};
    TensorFile file = file(4, DataType.F32, 0);
    for (String name : List.of("key", "value")) {
      float[] padded = tokens(4, name, 0, KEYS);
      int dim = name.equals("key") ? LAYOUT.keyDim() : LAYOUT.valueDim();
      for (int row = 0; row < padded.length / dim; row++) {
        if (row % KEYS >= counts[row / KEYS / LAYOUT.numKeyValueHeads()]) {
          Arrays.fill(padded, row * dim, (row + 1) * dim, Float.NaN);
        }
      }
      file.without("past_" + name);
      file.with(name, DataType.F32, padded, shape(4, LAYOUT.numKeyValueHeads(), KEYS, dim));
    }
    file.with("nonpad_kv_seqlen", type, counts).write(in);
    files.attend(in, out, options(mask, exchange, shards));

    List<Attended> found = files.readTensors(out, LAYOUT);
    for (int b = 0; b < BATCH.size(); b++) {
      Attended expected = new Attended(LAYOUT, QUERIES);
      Arrays.fill(expected.logSumExp(), Float.NEGATIVE_INFINITY);
      if (counts[b] > 0) {
        Path alone = folder.resolve("alone" + b + AttentionFiles.SAFETENSORS);
        Path itsOutput = folder.resolve("alone-out" + b + AttentionFiles.SAFETENSORS);
        files.writeTensors(alone, DataType.F32, 4, List.of(BATCH.get(b).withKeys(counts[b])));
        Map<Key, String> options = options(mask, "ring", 1);
        options.put(Key.CAUSAL_ALIGNMENT, "bottom-right");
        files.attend(alone, itsOutput, options);
        expected = files.readTensors(itsOutput, LAYOUT).get(0);
      }
      found.get(b).assertSameBits(expected, BATCH.get(b));
    }
  }
}

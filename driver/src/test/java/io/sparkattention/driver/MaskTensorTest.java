package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.ReferenceAttention;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The tensor {@code attn_mask} in all its shapes and types. */
class MaskTensorTest {
  private static final HeadLayout LAYOUT = new HeadLayout(4, 2, 12, 20);
  private static final int QUERIES = 45;
  private static final int KEYS = 83;
  private static final List<RandomSequence> BATCH =
      RandomSequence.batch(2, 201, LAYOUT, QUERIES, KEYS);

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
    return options;
  }

  private List<Attended> attend(TensorFile file, Map<Key, String> options) {
    files.attend(file.write(in), out, true, options);
    return files.readTensors(out, LAYOUT);
  }

  private static TensorFile file() {
    return new TensorFile()
        .with("query", DataType.F32, join(0), 2, 4, QUERIES, LAYOUT.keyDim())
        .with("key", DataType.F32, join(1), 2, 2, KEYS, LAYOUT.keyDim())
        .with("value", DataType.F32, join(2), 2, 2, KEYS, LAYOUT.valueDim());
  }

  private static float[] join(int which) {
    float[][] parts = new float[BATCH.size()][];
    for (int b = 0; b < parts.length; b++) {
      RandomSequence s = BATCH.get(b);
      parts[b] = which == 0 ? s.query() : which == 1 ? s.key() : s.value();
    }
    float[] all = Arrays.copyOf(parts[0], parts[0].length * parts.length);
    for (int b = 1; b < parts.length; b++) {
      System.arraycopy(parts[b], 0, all, b * parts[0].length, parts[0].length);
    }
    return all;
  }

  /** What a mask says as a tensor: 1 where a query sees a key, else 0. */
  private static float[] tensor(AttentionMask mask, int keys) {
    float[] seen = new float[QUERIES * keys];
    for (int i = 0; i < QUERIES; i++) {
      for (int j = 0; j < keys; j++) {
        Block query = new Block(0, i, i + 1L);
        seen[i * keys + j] = mask.visiblePairs(query, new Block(0, j, j + 1L), 0);
      }
    }
    return seen;
  }

  private static float[] additive(float[] seen, float masked) {
    float[] numbers = new float[seen.length];
    for (int i = 0; i < seen.length; i++) {
      numbers[i] = seen[i] == 0 ? masked : 0;
    }
    return numbers;
  }

  private static void assertSameBits(List<Attended> found, List<Attended> expected, Object what) {
    for (int b = 0; b < BATCH.size(); b++) {
      found.get(b).assertSameBits(expected.get(b), what + ", " + BATCH.get(b));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"causal", "sliding-window:9,4", "full", "documents:20,1,40"})
  void aTensorHasTheBitsOfTheSameMask(String text) {
    List<Attended> expected = attend(file(), options(text, "ring", 2));
    float[] seen = tensor(AttentionMask.parse(text), KEYS);
    TensorFile bool = file().with("attn_mask", DataType.BOOL, seen, QUERIES, KEYS);
    assertSameBits(attend(bool, options("full", "reduce", 3)), expected, "BOOL " + text);
    assertSameBits(attend(bool, options(text, "ring", 3)), expected, "both " + text);
    for (float masked : new float[] {Float.NEGATIVE_INFINITY, -1e9f, -Float.MAX_VALUE}) {
      TensorFile numbers =
          file().with("attn_mask", DataType.F32, additive(seen, masked), QUERIES, KEYS);
      assertSameBits(attend(numbers, options("full", "ring", 3)), expected, masked + " " + text);
    }
  }

  @Test
  void boolsThatDifferBetweenHeadsAreThoseOfEachHead() {
    String[] masks = {"causal", "full", "sliding-window:5,5", "sinks:7"};
    float[] byHead = new float[4 * QUERIES * KEYS];
    for (int h = 0; h < masks.length; h++) {
      float[] seen = tensor(AttentionMask.parse(masks[h]), KEYS);
      System.arraycopy(seen, 0, byHead, h * seen.length, seen.length);
    }
    List<Attended> found =
        attend(
            file().with("attn_mask", DataType.BOOL, byHead, 4, QUERIES, KEYS),
            options("full", "reduce", 3));
    for (int h = 0; h < masks.length; h++) {
      List<Attended> expected = attend(file(), options(masks[h], "ring", 1));
      int width = QUERIES * LAYOUT.valueDim();
      for (int b = 0; b < BATCH.size(); b++) {
        assertThat(ofHead(found.get(b), h, width))
            .as("head %d, %s", h, BATCH.get(b))
            .isEqualTo(ofHead(expected.get(b), h, width));
      }
    }
  }

  private static int[] ofHead(Attended attended, int head, int width) {
    float[] output = Arrays.copyOfRange(attended.output(), head * width, (head + 1) * width);
    return Attended.bits(output);
  }

  /** Numbers of size 2; a tenth −∞, and with it some rows of which nothing is left. */
  private static float[] random(int size, int rowSize) {
    Random random = new Random(size);
    float[] numbers = new float[size];
    for (int i = 0; i < size; i++) {
      numbers[i] =
          random.nextInt(10) == 0 ? Float.NEGATIVE_INFINITY : 2 * (float) random.nextGaussian();
    }
    if (size >= 3 * rowSize) {
      Arrays.fill(numbers, rowSize, 2 * rowSize, Float.NEGATIVE_INFINITY);
    }
    return numbers;
  }

  /** The number at [b, head, i, j] of a tensor that is broadcast; beyond its keys −∞. */
  private static double at(float[] numbers, long[] shape, int... at) {
    int index = 0;
    for (int axis = 0; axis < 4; axis++) {
      int own = axis - 4 + shape.length;
      if (own >= 0) {
        boolean beyond = axis == 3 && at[3] >= shape[own];
        if (beyond) {
          return Double.NEGATIVE_INFINITY;
        }
        index = (int) (index * shape[own] + (shape[own] == 1 ? 0 : at[axis]));
      }
    }
    return numbers[index];
  }

  /** Every shape and type against the formula in float64, and one result of all shards. */
  @ParameterizedTest
  @CsvSource({
    "F32, full, 45 83",
    "F32, causal, 1 83",
    "F16, full, 4 45 83",
    "F32, sliding-window:30, 1 4 45 83",
    "BF16, full, 2 1 1 83",
    "F64, causal, 2 4 45 83",
    "F32, full, 2 1 45 70",
    "F32, full, 4 1 16",
    "BOOL, causal, 2 4 45 50",
    "BOOL, full, 2 1 1 83"
  })
  void everyShapeAndType(DataType type, String mask, String sizes) throws IOException {
    long[] shape = Arrays.stream(sizes.split(" ")).mapToLong(Long::parseLong).toArray();
    int rowSize = (int) shape[shape.length - 1];
    float[] numbers = random((int) Arrays.stream(shape).reduce(1, (a, b) -> a * b), rowSize);
    TensorFile file;
    if (type == DataType.BOOL) {
      float[] seen = new float[numbers.length];
      for (int i = 0; i < seen.length; i++) {
        seen[i] = numbers[i] == Float.NEGATIVE_INFINITY ? 0 : 1;
      }
      file = file().with("attn_mask", type, seen, shape);
      numbers = additive(seen, Float.NEGATIVE_INFINITY);
    } else {
      numbers = RandomSequence.rounded(type, numbers);
      file = file().with("attn_mask", type, numbers, shape);
    }
    List<Attended> found = attend(file, options(mask, "ring", 1));
    byte[] bytes = Files.readAllBytes(out);
    for (int b = 0; b < BATCH.size(); b++) {
      found.get(b).assertCloseTo(reference(b, mask, numbers, shape), 0, sizes + BATCH.get(b));
    }
    for (int shards : new int[] {3, 7}) {
      for (String exchange : List.of("ring", "reduce")) {
        files.attend(in, out, true, options(mask, exchange, shards));
        assertThat(Files.readAllBytes(out)).as("%d shards, %s", shards, exchange).isEqualTo(bytes);
      }
    }
  }

  private static ReferenceAttention.Result reference(
      int b, String mask, float[] numbers, long[] shape) {
    double[] sinks = new double[LAYOUT.numHeads()];
    Arrays.fill(sinks, Double.NEGATIVE_INFINITY);
    double scale = 1 / Math.sqrt(LAYOUT.keyDim());
    return reference(
        b, mask, (head, i, j, score) -> scale * score + at(numbers, shape, b, head, i, j), sinks);
  }

  private static ReferenceAttention.Result reference(
      int b, String mask, ReferenceAttention.Scores scores, double[] sinks) {
    RandomSequence s = BATCH.get(b);
    float[] seen = tensor(AttentionMask.parse(mask), KEYS);
    return ReferenceAttention.attend(
        LAYOUT,
        new ReferenceAttention.Tensors(s.query(), s.key(), s.value()),
        (head, i, j, score) ->
            seen[i * KEYS + j] == 0 ? Double.NEGATIVE_INFINITY : scores.of(head, i, j, score),
        (head, i, j) -> 1,
        sinks);
  }

  /** The softcap comes before the mask's numbers, ALiBi beside them. */
  @Test
  void composesWithScoreFunctions() {
    long[] shape = {4, QUERIES, KEYS};
    float[] numbers = random(4 * QUERIES * KEYS, KEYS);
    Map<Key, String> options = options("causal", "reduce", 3);
    options.put(Key.SOFTCAP, "1.5");
    options.put(Key.ALIBI, "0.5,0.25,0.125,0.0625");
    options.put(Key.SINKS, "0.5");
    TensorFile file = file().with("attn_mask", DataType.F32, numbers, shape);
    List<Attended> found = attend(file, options);
    double[] sinks = {0.5, 0.5, 0.5, 0.5};
    double scale = 1 / Math.sqrt(LAYOUT.keyDim());
    for (int b = 0; b < BATCH.size(); b++) {
      int sequence = b;
      ReferenceAttention.Scores scores =
          (head, i, j, score) ->
              1.5 * Math.tanh(scale * score / 1.5)
                  - Math.abs(i - j) / (double) (2 << head)
                  + at(numbers, shape, sequence, head, i, j);
      found
          .get(b)
          .assertCloseTo(reference(b, "causal", scores, sinks), 0, BATCH.get(b) + ", composed");
    }
  }

  /** The keys of a mask tensor are counted from the first of the past. */
  @Test
  void aMaskCountsKeysFromThePastOn() {
    TensorFile whole = file();
    float[] numbers = random(QUERIES * KEYS, KEYS);
    whole.with("attn_mask", DataType.F32, numbers, QUERIES, KEYS);
    List<Attended> expected = attend(whole, options("full", "ring", 2));
    int past = 38;
    TensorFile split = file().with("attn_mask", DataType.F32, numbers, QUERIES, KEYS);
    for (int which = 1; which <= 2; which++) {
      String name = which == 1 ? "key" : "value";
      int dim = which == 1 ? LAYOUT.keyDim() : LAYOUT.valueDim();
      float[] all = join(which);
      float[] before = new float[4 * past * dim];
      float[] after = new float[4 * (KEYS - past) * dim];
      for (int h = 0; h < 4; h++) {
        System.arraycopy(all, h * KEYS * dim, before, h * past * dim, past * dim);
        int own = (KEYS - past) * dim;
        System.arraycopy(all, (h * KEYS + past) * dim, after, h * own, own);
      }
      split.with("past_" + name, DataType.F32, before, 2, 2, past, dim);
      split.with(name, DataType.F32, after, 2, 2, KEYS - past, dim);
    }
    assertSameBits(attend(split, options("full", "reduce", 3)), expected, "past " + past);
  }
}

package io.sparkattention.driver;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.ReferenceAttention;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.TopK;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.spark.SparkConf;

/**
 * A combination that is supported or refused: an input, the settings of its runs, and the formula
 * in float64.
 *
 * @param masks one, or two that are joined; of two at most one is a tensor
 * @param operator what joins two masks: {@code &} or {@code |}
 * @param layout of {@link ScoreFunction#HEADS} query heads
 */
record SupportCell(
    List<MaskKind> masks,
    String operator,
    ScoreFunctions functions,
    HeadLayout layout,
    DataType type,
    InputShape shape) {
  /** Where heads are not what a cell is about. */
  static final HeadLayout GROUPED = new HeadLayout(ScoreFunction.HEADS, 2, 12, 20);

  private static final int SEED = 400;

  /** Scores up to here are within the tolerances of {@link Attended}. */
  private static final double USUAL_SCORE = 10;

  static SupportCell of(MaskKind mask, ScoreFunctions functions, InputShape shape) {
    return new SupportCell(List.of(mask), "&", functions, GROUPED, DataType.F32, shape);
  }

  static SupportCell of(MaskKind mask, String operator, MaskKind other, InputShape shape) {
    return new SupportCell(
        List.of(mask, other), operator, ScoreFunctions.of(), GROUPED, DataType.F32, shape);
  }

  SupportCell with(HeadLayout other) {
    return new SupportCell(masks, operator, functions, other, type, shape);
  }

  SupportCell with(DataType other) {
    return new SupportCell(masks, operator, functions, layout, other, shape);
  }

  SupportCell with(InputShape other) {
    return new SupportCell(masks, operator, functions, layout, type, other);
  }

  /** Parts of the seed that no two neighbours share. */
  private long seed() {
    return SEED + 100L * masks.get(0).ordinal() + 10L * shape.ordinal();
  }

  private List<RandomSequence> sequences() {
    return RandomSequence.batch(shape.batch(), seed(), layout, shape.queries(), shape.keys())
        .stream()
        .map(sequence -> sequence.rounded(type))
        .toList();
  }

  private float[] tensor() {
    return masks.stream()
        .filter(MaskKind::isTensor)
        .findFirst()
        .map(mask -> mask.tensor(shape, layout.numHeads(), seed(), type))
        .orElse(null);
  }

  /** What {@code --mask} says; the tensors' part is the input's. */
  String mask() {
    String text =
        masks.stream()
            .filter(mask -> !mask.isTensor() || operator.equals("|"))
            .map(MaskKind::text)
            .collect(Collectors.joining(" " + operator + " "));
    return text.isEmpty() ? "full" : text;
  }

  AttentionConfig config(SparkConf conf, String exchange, int shards) {
    return functions.config(AttentionConfig.resolve(options(exchange, shards), conf));
  }

  /** The settings of a run, but for what no option can say. */
  Map<Key, String> options(String exchange, int shards) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.putAll(functions.options());
    options.put(Key.MASK, mask());
    options.put(Key.CAUSAL_ALIGNMENT, shape.alignment().toString());
    options.put(Key.BLOCK_TOKENS, Integer.toString(shape.blockTokens()));
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.SHARDS, Integer.toString(shards));
    return options;
  }

  /** The input's tensors. */
  TensorFile file() {
    TensorFile file = new TensorFile();
    List<RandomSequence> all = sequences();
    List<RandomSequence> own =
        all.stream().map(s -> s.withKeys(shape.past(), shape.keys())).toList();
    put(file, "query", all.stream().map(RandomSequence::query).toList(), layout.keyDim());
    put(file, "key", own.stream().map(RandomSequence::key).toList(), layout.keyDim());
    put(file, "value", own.stream().map(RandomSequence::value).toList(), layout.valueDim());
    if (shape.past() > 0) {
      List<RandomSequence> past = all.stream().map(s -> s.withKeys(shape.past())).toList();
      put(file, "past_key", past.stream().map(RandomSequence::key).toList(), layout.keyDim());
      put(file, "past_value", past.stream().map(RandomSequence::value).toList(), layout.valueDim());
    }
    if (shape.keyCounts().length > 0) {
      file.with("nonpad_kv_seqlen", DataType.I64, shape.keyCounts());
    }
    masks.stream().filter(MaskKind::isTensor).forEach(mask -> putMask(file, mask));
    return file;
  }

  private void put(TensorFile file, String name, List<float[]> batch, int dim) {
    int heads = name.equals("query") ? layout.numHeads() : layout.numKeyValueHeads();
    int size = batch.get(0).length;
    float[] all = new float[batch.size() * size];
    for (int b = 0; b < batch.size(); b++) {
      System.arraycopy(batch.get(b), 0, all, b * size, size);
    }
    file.with(name, type, all, batch.size(), heads, size / heads / dim, dim);
  }

  private void putMask(TensorFile file, MaskKind mask) {
    file.with(
        "attn_mask",
        mask == MaskKind.BOOLS ? DataType.BOOL : type,
        mask.stored(tensor()),
        layout.numHeads(),
        shape.queries(),
        shape.keys());
  }

  /** Compares what a run wrote with the formula in float64. */
  void assertExact(List<Attended> found) {
    List<RandomSequence> sequences = sequences();
    for (int b = 0; b < sequences.size(); b++) {
      RandomSequence sequence = sequences.get(b).withKeys(shape.keys(b));
      double[] largest = {USUAL_SCORE};
      ReferenceAttention.Result expected = reference(sequence, b, largest);
      double factor = functions.factor() * largest[0] / USUAL_SCORE;
      found.get(b).assertCloseTo(expected, 0, factor, sequence);
    }
  }

  /** The formula in float64, of one sequence. */
  ReferenceAttention.Result reference(int b) {
    return reference(sequences().get(b).withKeys(shape.keys(b)), b, new double[1]);
  }

  /**
   * @param largest receives the largest score that is not masked, if it is larger
   */
  private ReferenceAttention.Result reference(RandomSequence sequence, int b, double[] largest) {
    float[] added = added(sequence, b);
    double scale = functions.scale(layout.keyDim());
    return ReferenceAttention.attend(
        layout,
        new ReferenceAttention.Tensors(sequence.query(), sequence.key(), sequence.value()),
        (head, i, j, dot) -> {
          int index = (head * shape.queries() + i) * shape.keys() + j;
          double score =
              functions.of(head, i + (long) shape.offset(b), j, scale * dot) + added[index];
          if (score != Double.NEGATIVE_INFINITY) {
            largest[0] = Math.max(largest[0], Math.abs(score));
          }
          return score;
        },
        functions.weights(),
        functions.sinks());
  }

  /** [heads, queries, keys]: all masks as numbers that are added to the scores. */
  private float[] added(RandomSequence sequence, int b) {
    List<float[]> parts = new ArrayList<>();
    for (MaskKind mask : masks) {
      parts.add(mask.added(shape, layout.numHeads(), b, tensor()));
    }
    if (masks.contains(MaskKind.BLOCK_TOP_K)) {
      // A tensor is not looked at where blocks are chosen.
      float[] rest =
          masks.stream()
              .filter(mask -> !mask.isTensor())
              .map(mask -> parts.get(masks.indexOf(mask)))
              .reduce(this::join)
              .orElseThrow();
      float[] chosen = chosen(sequence, b, rest);
      for (int i = 0; i < parts.size(); i++) {
        parts.set(i, masks.get(i) == MaskKind.BLOCK_TOP_K ? chosen : parts.get(i));
      }
    }
    return parts.stream().reduce(this::join).orElseThrow();
  }

  private float[] join(float[] one, float[] other) {
    float[] joined = new float[one.length];
    for (int i = 0; i < one.length; i++) {
      joined[i] = operator.equals("&") ? one[i] + other[i] : Math.max(one[i], other[i]);
    }
    return joined;
  }

  /** Block top-k as numbers that are added, where the masks show what the given ones do. */
  private float[] chosen(RandomSequence sequence, int b, float[] rest) {
    TopK topK = AttentionMask.parse(MaskKind.BLOCK_TOP_K.text()).topK().orElseThrow();
    int size = (int) topK.blockTokens();
    ChosenBlocks choice = new ChosenBlocks(sequence, size, topK.count());
    float[] added = rest.clone();
    for (int row = 0; row < layout.numHeads() * shape.queries(); row++) {
      int query = row % shape.queries();
      int first = row * shape.keys();
      boolean[] chosen =
          choice.of(
              row / shape.queries(),
              query,
              query + (long) shape.offset(b),
              (i, key) -> rest[first + key] == 0);
      for (int key = 0; key < sequence.keys(); key++) {
        added[first + key] = chosen[key / size] ? 0 : Float.NEGATIVE_INFINITY;
      }
    }
    return added;
  }

  @Override
  public String toString() {
    String joined =
        masks.stream().map(MaskKind::label).collect(Collectors.joining(" " + operator + " "));
    return "%s, scores [%s], %s, %s, %s".formatted(joined, functions, type, layout, shape);
  }
}

package io.sparkattention.driver.io;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionInput;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.exchange.PairMask;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.HeadSlice;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.ToLongFunction;
import java.util.stream.IntStream;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;

/**
 * A safetensors file with the inputs of ONNX's {@code Attention} operator (opset 24): tensors
 * {@code query}, {@code key} and {@code value}, and where they are there {@code past_key} and
 * {@code past_value}, which stand before the keys and values, or {@code nonpad_kv_seqlen}, the
 * number of keys that are not padding, and {@code attn_mask}. Each element of the batch is a
 * sequence of its own. The owner of a block reads its rows straight from the file.
 */
public final class SafetensorsInput implements AttentionInput {
  private static final Set<String> SUPPORTED =
      Set.of(
          "query", "key", "value", "past_key", "past_value", KeyCounts.TENSOR, MaskTensor.TENSOR);

  /** Of a mask tensor's stretch for a pair of blocks, in bytes: each task has one in memory. */
  private static final double MAX_MASK_BYTES = 1L << 30;

  private final JavaSparkContext context;
  private final SafetensorsFile file;
  private final HeadTensor query;
  private final PresentTensor key;
  private final PresentTensor value;
  private final KeyCounts keyCounts;
  private final HeadLayout layout;
  private final BlockReader reader;

  /** Null where there is none. */
  private final MaskTensor mask;

  private SafetensorsInput(
      JavaSparkContext context,
      SafetensorsFile file,
      HeadTensor query,
      HeadTensor key,
      HeadTensor value) {
    this.context = context;
    this.file = file;
    this.query = query;
    requireSame("rank", key, query, HeadTensor::rank);
    requireSame("rank", value, query, HeadTensor::rank);
    requireSame("batch", key, query, HeadTensor::batch);
    requireSame("batch", value, query, HeadTensor::batch);
    requireSame("number of heads", value, key, HeadTensor::heads);
    requireSame("number of tokens", value, key, HeadTensor::tokens);
    this.layout =
        new InputHeads(query.heads(), key.heads(), query.headDim(), key.headDim(), value.headDim())
            .layout(file.name(), "correct their shapes");
    requireBothOrNeither("past_key", "past_value");
    requireBothOrNeither("past_value", "past_key");
    this.key = PresentTensor.of(file, key);
    this.value = PresentTensor.of(file, value);
    if (this.key.hasPast()) {
      requireSame(
          "number of tokens",
          this.value.parts().get(0),
          this.key.parts().get(0),
          HeadTensor::tokens);
    }
    this.keyCounts = KeyCounts.read(file, this.key, context.hadoopConfiguration());
    this.reader = new BlockReader(file, layout, context);
    this.mask =
        file.has(MaskTensor.TENSOR)
            ? new MaskTensor(
                file, reader, query.batch(), query.heads(), query.tokens(), this.key.tokens())
            : null;
  }

  private void requireSame(
      String what, HeadTensor found, HeadTensor expected, ToLongFunction<HeadTensor> size) {
    if (size.applyAsLong(found) != size.applyAsLong(expected)) {
      throw new InvalidInputException(
          "Invalid %s of '%s' in '%s': found %d, expected %d as of '%s'; correct their shapes"
              .formatted(
                  what,
                  found.tensor().name(),
                  file.name(),
                  size.applyAsLong(found),
                  size.applyAsLong(expected),
                  expected.tensor().name()));
    }
  }

  private void requireBothOrNeither(String name, String other) {
    if (file.has(name) && !file.has(other)) {
      throw new InvalidInputException(
          "Missing tensor '%s' in '%s': found '%s' without it, expected both or neither; add it or remove '%s'"
              .formatted(other, file.name(), name, name));
    }
  }

  /**
   * Reads the file's header, and the lengths of padded sequences.
   *
   * @param config tells the head counts of rank 3 tensors
   */
  public static SafetensorsInput open(SparkSession spark, String path, AttentionConfig config) {
    JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    SafetensorsFile file = SafetensorsFile.open(new Path(path), context.hadoopConfiguration());
    for (String name : file.tensors().keySet()) {
      if (!SUPPORTED.contains(name)) {
        throw new InvalidInputException(
            "Unknown tensor '%s' in '%s': expected query, key, value, attn_mask, past_key, past_value and nonpad_kv_seqlen; remove it"
                .formatted(name, path));
      }
    }
    HeadTensor query = HeadTensor.of(file, "query", config.numHeads(), "--num-heads");
    boolean grouped = config.numKeyValueHeads().isPresent();
    var keyValueHeads = grouped ? config.numKeyValueHeads() : config.numHeads();
    String option = grouped ? "--num-kv-heads" : "--num-heads";
    HeadTensor key = HeadTensor.of(file, "key", keyValueHeads, option);
    HeadTensor value = HeadTensor.of(file, "value", keyValueHeads, option);
    SafetensorsInput input = new SafetensorsInput(context, file, query, key, value);
    input.checkMask(config.blockTokens());
    return input;
  }

  private void checkMask(int blockTokens) {
    HeadSlice heads = HeadSlice.whole(layout);
    if (mask != null && mask.pairBytes(blockTokens, heads) > MAX_MASK_BYTES) {
      throw new InvalidInputException(
          "Cannot hold %.1f GiB of 'attn_mask' in '%s' for two blocks of %d tokens: expected at most 1; lower --block-tokens"
              .formatted(
                  mask.pairBytes(blockTokens, heads) / (1L << 30), file.name(), blockTokens));
    }
  }

  @Override
  public HeadLayout layout() {
    return layout;
  }

  @Override
  public ElementType keyValueType() {
    DataType type = key.own().tensor().type();
    if (type != value.own().tensor().type()) {
      return ElementType.F32;
    }
    return switch (type) {
      case BF16 -> ElementType.BF16;
      case F16 -> ElementType.F16;
      default -> ElementType.F32;
    };
  }

  @Override
  public List<SequenceShape> sequences() {
    List<SequenceShape> sequences = new ArrayList<>();
    for (int b = 0; b < query.batch(); b++) {
      sequences.add(keyCounts.sequence(b, query.tokens()));
    }
    return sequences;
  }

  @Override
  public Optional<PairMask> pairMask() {
    return Optional.ofNullable(mask);
  }

  /** The element type and the rank that an output of the same form has. */
  public DataType dataType() {
    return query.tensor().type();
  }

  public int rank() {
    return query.rank();
  }

  /** Keys of a sequence, of the past and padding included. */
  long keyTokens() {
    return key.tokens();
  }

  /** Past and new keys, and values, together: where the file has a past, else none. */
  List<PresentTensor> presents() {
    return key.hasPast() ? List.of(key, value) : List.of();
  }

  /**
   * The bytes of {@link #presents()}, read by the tasks.
   *
   * @param begins where each tensor starts in the output file, by name
   * @return pieces by their offset in that file
   */
  JavaPairRDD<Long, byte[]> presentPieces(AttentionPlan plan, Map<String, Long> begins) {
    BlockReader blocks = reader;
    List<PresentTensor> tensors = presents();
    long[] begin =
        tensors.stream().mapToLong(tensor -> begins.get(tensor.declaration().name())).toArray();
    return OwnedBlocks.of(context, plan.keyRuns(), block -> block)
        .flatMapToPair(
            block ->
                IntStream.range(0, begin.length)
                    .boxed()
                    .flatMap(i -> blocks.pieces(block, tensors.get(i), begin[i]))
                    .iterator());
  }

  @Override
  public JavaRDD<PlacedQueries> queries(AttentionPlan plan) {
    BlockReader blocks = reader;
    HeadTensor tensor = query;
    double scale = plan.scale();
    return OwnedBlocks.queries(context, plan, block -> blocks.queries(block, tensor, scale));
  }

  @Override
  public JavaRDD<PlacedKeyValues> keyValues(AttentionPlan plan) {
    BlockReader blocks = reader;
    PresentTensor keys = key;
    PresentTensor values = value;
    ElementType type = plan.keyValueType();
    return OwnedBlocks.keyValues(
        context, plan, block -> blocks.keyValues(block, keys, values, type));
  }
}

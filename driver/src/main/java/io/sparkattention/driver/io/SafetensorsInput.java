package io.sparkattention.driver.io;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionInput;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.InvalidElementException;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.partitioning.Block;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.ToLongFunction;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;

/**
 * A safetensors file with tensors {@code query}, {@code key} and {@code value}. Each element of the
 * batch is a sequence of its own. The owner of a block reads its rows straight from the file.
 */
public final class SafetensorsInput implements AttentionInput {
  private static final Set<String> SUPPORTED = Set.of("query", "key", "value");
  private static final Set<String> NOT_SUPPORTED_YET =
      Set.of("attn_mask", "past_key", "past_value", "nonpad_kv_seqlen");

  private final JavaSparkContext context;
  private final SafetensorsFile file;
  private final HeadTensor query;
  private final HeadTensor key;
  private final HeadTensor value;
  private final HeadLayout layout;

  private SafetensorsInput(
      JavaSparkContext context,
      SafetensorsFile file,
      HeadTensor query,
      HeadTensor key,
      HeadTensor value) {
    this.context = context;
    this.file = file;
    this.query = query;
    this.key = key;
    this.value = value;
    requireSame("rank", key, query, HeadTensor::rank);
    requireSame("rank", value, query, HeadTensor::rank);
    requireSame("batch", key, query, HeadTensor::batch);
    requireSame("batch", value, query, HeadTensor::batch);
    requireSame("number of heads", value, key, HeadTensor::heads);
    requireSame("number of tokens", value, key, HeadTensor::tokens);
    this.layout =
        new InputHeads(query.heads(), key.heads(), query.headDim(), key.headDim(), value.headDim())
            .layout(file.name(), "correct their shapes");
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

  /**
   * Reads the file's header.
   *
   * @param config tells the head counts of rank 3 tensors
   */
  public static SafetensorsInput open(SparkSession spark, String path, AttentionConfig config) {
    JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    SafetensorsFile file = SafetensorsFile.open(new Path(path), context.hadoopConfiguration());
    for (String name : file.tensors().keySet()) {
      if (NOT_SUPPORTED_YET.contains(name)) {
        throw new InvalidInputException(
            "Cannot use tensor '%s' of '%s': not supported yet".formatted(name, path));
      }
      if (!SUPPORTED.contains(name)) {
        throw new InvalidInputException(
            "Unknown tensor '%s' in '%s': expected query, key and value; remove it"
                .formatted(name, path));
      }
    }
    HeadTensor query = HeadTensor.of(file, "query", config.numHeads(), "--num-heads");
    boolean grouped = config.numKeyValueHeads().isPresent();
    var keyValueHeads = grouped ? config.numKeyValueHeads() : config.numHeads();
    String option = grouped ? "--num-kv-heads" : "--num-heads";
    HeadTensor key = HeadTensor.of(file, "key", keyValueHeads, option);
    HeadTensor value = HeadTensor.of(file, "value", keyValueHeads, option);
    return new SafetensorsInput(context, file, query, key, value);
  }

  @Override
  public HeadLayout layout() {
    return layout;
  }

  @Override
  public ElementType keyValueType() {
    if (key.tensor().type() != value.tensor().type()) {
      return ElementType.F32;
    }
    return switch (key.tensor().type()) {
      case BF16 -> ElementType.BF16;
      case F16 -> ElementType.F16;
      default -> ElementType.F32;
    };
  }

  @Override
  public List<SequenceShape> sequences() {
    List<SequenceShape> sequences = new ArrayList<>();
    for (int b = 0; b < query.batch(); b++) {
      sequences.add(new SequenceShape(Integer.toString(b), 0, query.tokens(), key.tokens()));
    }
    return sequences;
  }

  /** The element type and the rank that an output of the same form has. */
  public DataType dataType() {
    return query.tensor().type();
  }

  public int rank() {
    return query.rank();
  }

  @Override
  public JavaRDD<PlacedQueries> queries(AttentionPlan plan) {
    List<ArrayList<Block>> ranks = new ArrayList<>();
    IntStream.range(0, plan.shards()).forEach(rank -> ranks.add(new ArrayList<>()));
    for (int i = 0; i < plan.queryBlocks().size(); i++) {
      ranks.get(plan.queryRanks()[i]).add(plan.queryBlocks().get(i));
    }
    BlockReader reader = new BlockReader(file, layout, context);
    HeadTensor tensor = query;
    double scale = plan.scale();
    return blocks(ranks, block -> reader.queries(block, tensor, scale));
  }

  @Override
  public JavaRDD<PlacedKeyValues> keyValues(AttentionPlan plan) {
    BlockReader reader = new BlockReader(file, layout, context);
    HeadTensor keys = key;
    HeadTensor values = value;
    ElementType type = plan.keyValueType();
    return blocks(plan.keyRuns(), block -> reader.keyValues(block, keys, values, type));
  }

  /** Partition i is what {@code read} makes of the blocks of list i. */
  private <T> JavaRDD<T> blocks(List<? extends List<Block>> lists, Function<Block, T> read) {
    List<Block[]> partitions = lists.stream().map(list -> list.toArray(Block[]::new)).toList();
    return context
        .parallelize(partitions, partitions.size())
        .flatMap(blocks -> List.of(blocks).iterator())
        .map(read);
  }

  /** Reads and packs blocks on an executor. */
  private static final class BlockReader implements java.io.Serializable {
    private static final long serialVersionUID = 1L;

    private final SafetensorsFile file;
    private final HeadLayout layout;
    private final Broadcast<SerializableConfiguration> conf;

    BlockReader(SafetensorsFile file, HeadLayout layout, JavaSparkContext context) {
      this.file = file;
      this.layout = layout;
      this.conf = context.broadcast(new SerializableConfiguration(context.hadoopConfiguration()));
    }

    PlacedQueries queries(Block block, HeadTensor tensor, double scale) {
      QueryBlock.Packer packer = new QueryBlock.Packer(layout, block.tokens(), scale);
      read(block, tensor, packer::put);
      return new PlacedQueries(block, packer.pack());
    }

    PlacedKeyValues keyValues(Block block, HeadTensor keys, HeadTensor values, ElementType type) {
      // The executor reads and packs for longer than the kernel takes to compile.
      AttentionKernels.startWarmUp();
      KeyValueBlock.Packer packer = new KeyValueBlock.Packer(layout, block.tokens(), type);
      read(block, keys, packer::putKey);
      read(block, values, packer::putValue);
      return new PlacedKeyValues(block, packer.pack());
    }

    private void read(Block block, HeadTensor tensor, HeadTensor.RowConsumer rows) {
      Configuration hadoop = conf.value().value();
      try (FSDataInputStream in = file.openStream(hadoop)) {
        tensor.read(file, in, block, rows);
      } catch (InvalidElementException e) {
        throw InvalidInputException.of(e, Integer.toString(block.sequence()), block.start());
      } catch (IOException e) {
        throw new UncheckedIOException("Cannot close '" + file.path() + "'", e);
      }
    }
  }
}

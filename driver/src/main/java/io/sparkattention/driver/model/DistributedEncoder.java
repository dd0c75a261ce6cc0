package io.sparkattention.driver.model;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.serializers.JavaSerializer;
import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.DistributedAttention;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.scores.Scores;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockGrid;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.StorageLevel;
import scala.Tuple2;

/**
 * Runs a BERT encoder over documents of any length. Those of one block, and windows, are encoded
 * whole, each by one task. Longer ones go through the layers together: what is done per token where
 * the tokens are, attention by an exchange. Which way a document goes does not touch the bits.
 */
public final class DistributedEncoder implements AutoCloseable {
  /**
   * A tokenized document.
   *
   * @param name for messages and outputs
   * @param ids [tokens], special tokens included
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  public record Document(String name, int[] ids) {}

  private final SparkSession spark;
  private final JavaSparkContext context;
  private final BertModel model;
  private final AttentionConfig config;
  private final Overflow overflow;
  private final BlockGrid grid;
  private final HeadLayout heads;
  private final Broadcast<BertModel> everywhere;
  private JavaPairRDD<Block, float[]> kept;

  /**
   * @param config block size, shards and exchange of the attention; its mask has to be full
   */
  public DistributedEncoder(
      SparkSession spark, BertModel model, AttentionConfig config, Overflow overflow) {
    refuseOtherAttention(model, config);
    this.spark = spark;
    this.context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    this.model = model;
    this.config = config;
    this.overflow = overflow;
    this.grid = new BlockGrid(config.blockTokens());
    this.heads = heads(model);
    this.everywhere = context.broadcast(model);
  }

  private static HeadLayout heads(BertModel model) {
    int numHeads = model.config().numHeads();
    int headDim = model.config().headDim();
    return new HeadLayout(numHeads, numHeads, headDim, headDim);
  }

  /** The model says what its attention is; a setting that says otherwise is a mistake. */
  private static void refuseOtherAttention(BertModel model, AttentionConfig config) {
    String scores = Scores.of(config.scores(), model.config().numHeads()).summary();
    if (!config.mask().toString().equals("full")
        || !scores.isEmpty()
        || config.scale().isPresent()
        || config.scoresOutput().isPresent()) {
      throw new InvalidInputException(
          "Cannot run an encoder with mask '%s'%s%s%s: expected the model's own attention, full without score functions; remove those settings"
              .formatted(
                  config.mask().summary(),
                  scores.isEmpty() ? "" : ", " + scores,
                  config.scale().isPresent() ? ", a scale" : "",
                  config.scoresOutput().isPresent() ? ", a scoresOutput" : ""));
    }
    if (config.keyValueType().isPresent() && config.keyValueType().get() != ElementType.F32) {
      throw new InvalidInputException(
          "Cannot run an encoder with keys and values in %s: expected f32; remove that setting"
              .formatted(config.keyValueType().get()));
    }
  }

  /**
   * Encodes documents. The pieces lie on the cluster or are computed when they are asked for, until
   * this encoder is closed or asked again.
   *
   * @return pieces that hold each token of each document once, in no particular order
   * @throws InvalidInputException for a document without tokens, with too many, or with ids beyond
   *     the vocabulary
   */
  public JavaRDD<EncodedPiece> encode(List<Document> documents) {
    release();
    List<EncoderWindow> whole = new ArrayList<>();
    List<Integer> split = new ArrayList<>();
    for (int i = 0; i < documents.size(); i++) {
      int[] ids = documents.get(i).ids();
      check(documents.get(i));
      int positions = model.config().positions();
      if (overflow == Overflow.WINDOW && ids.length > positions) {
        whole.addAll(EncoderWindow.of(i, ids, positions));
      } else if (ids.length <= grid.blockTokens()) {
        whole.addAll(EncoderWindow.of(i, ids, ids.length));
      } else {
        split.add(i);
      }
    }
    JavaRDD<EncodedPiece> pieces = wholePieces(whole);
    return split.isEmpty() ? pieces : pieces.union(splitPieces(documents, split));
  }

  private void check(Document document) {
    int tokens = document.ids().length;
    int positions = model.config().positions();
    if (tokens == 0) {
      throw new InvalidInputException(
          "Cannot encode '%s': found no tokens, expected at least one".formatted(document.name()));
    }
    if (overflow == Overflow.ERROR && tokens > positions) {
      throw new InvalidInputException(
          "Cannot encode '%s': found %,d tokens, expected at most the model's %,d positions; give --overflow window or extend, or shorten the document"
              .formatted(document.name(), tokens, positions));
    }
    model.checkIds(document.ids());
  }

  private JavaRDD<EncodedPiece> wholePieces(List<EncoderWindow> windows) {
    if (windows.isEmpty()) {
      return context.emptyRDD();
    }
    Broadcast<BertModel> weights = everywhere;
    BlockGrid blocks = grid;
    int tasks = Math.min(windows.size(), 4 * context.defaultParallelism());
    return context
        .parallelize(windows, tasks)
        .map(window -> encodeWhole(weights.value(), blocks, window));
  }

  private static EncodedPiece encodeWhole(BertModel model, BlockGrid grid, EncoderWindow window) {
    int hidden = model.config().hidden();
    float[] states = new LocalEncoder(model, grid).encode(window.ids(), input -> {});
    int from = window.keepFrom() - window.start();
    int to = window.keepTo() - window.start();
    return new EncodedPiece(
        window.document(),
        window.ordinal(),
        window.keepFrom(),
        Arrays.copyOfRange(window.ids(), from, to),
        Arrays.copyOfRange(states, from * hidden, to * hidden));
  }

  /**
   * @param split indices of the documents that take more than one block
   */
  private JavaRDD<EncodedPiece> splitPieces(List<Document> documents, List<Integer> split) {
    List<SequenceShape> shapes = new ArrayList<>();
    List<Tuple2<Block, int[]>> blocks = new ArrayList<>();
    for (int sequence = 0; sequence < split.size(); sequence++) {
      Document document = documents.get(split.get(sequence));
      int[] ids = document.ids();
      shapes.add(new SequenceShape(document.name(), 0, ids.length, ids.length));
      for (Block block : grid.blocks(sequence, 0, ids.length)) {
        int[] own = Arrays.copyOfRange(ids, (int) block.start(), (int) block.end());
        blocks.add(new Tuple2<>(block, own));
      }
    }
    Broadcast<BertModel> weights = everywhere;
    int partitions = Math.min(blocks.size(), config.shards().orElse(context.defaultParallelism()));
    JavaPairRDD<Block, int[]> tokens = context.parallelizePairs(blocks, partitions);
    kept =
        tokens
            .mapToPair(
                block ->
                    new Tuple2<>(block._1(), weights.value().embed(block._2(), block._1().start())))
            .persist(StorageLevel.MEMORY_AND_DISK());
    for (int index = 0; index < model.config().layers(); index++) {
      layerOnCluster(index, shapes);
    }
    int[] document = split.stream().mapToInt(Integer::intValue).toArray();
    BlockGrid all = grid;
    return kept.join(tokens)
        .map(
            both ->
                new EncodedPiece(
                    document[both._1().sequence()],
                    Math.toIntExact(all.index(both._1().start())),
                    both._1().start(),
                    both._2()._2(),
                    both._2()._1()));
  }

  /** Puts the layer's output in the place of its input. */
  private void layerOnCluster(int index, List<SequenceShape> shapes) {
    Broadcast<BertModel> weights = everywhere;
    BlockGrid blocks = grid;
    long[] ends = shapes.stream().mapToLong(SequenceShape::keys).toArray();
    JavaPairRDD<Block, float[]> states = kept;
    LayerInput input =
        new LayerInput(() -> weights.value().layer(index), heads, shapes, states, null);
    try (DistributedAttention.Attended attended =
        new DistributedAttention(spark).attend(input, config)) {
      JavaPairRDD<Block, float[]> next =
          states
              .cogroup(
                  attended
                      .rows()
                      .mapToPair(rows -> new Tuple2<>(ofGrid(blocks, ends, rows.block()), rows)))
              .mapToPair(
                  both ->
                      new Tuple2<>(
                          both._1(),
                          CausalDecoder.finish(
                              weights.value().layer(index),
                              both._1(),
                              both._2()._1().iterator().next(),
                              both._2()._2())))
              .persist(StorageLevel.MEMORY_AND_DISK());
      kept = next;
      next.count();
    } finally {
      states.unpersist(false);
    }
  }

  /** The block of the grid that holds what may be a part of it. */
  private static Block ofGrid(BlockGrid grid, long[] ends, Block part) {
    long start = grid.index(part.start()) * grid.blockTokens();
    long end = Math.min(start + grid.blockTokens(), ends[part.sequence()]);
    return new Block(part.sequence(), start, end);
  }

  /** Names what travels to Kryo: weights, windows and pieces by Java serialization. */
  public static void register(Kryo kryo) {
    kryo.register(BertModel.class, new JavaSerializer());
    kryo.register(EncodedPiece.class, new JavaSerializer());
    kryo.register(EncodedPiece[].class);
    kryo.register(EncoderWindow.class, new JavaSerializer());
    kryo.register(EncoderWindow[].class);
  }

  private void release() {
    if (kept != null) {
      kept.unpersist(false);
      kept = null;
    }
  }

  @Override
  public void close() {
    release();
    everywhere.destroy();
  }
}

package io.sparkattention.driver.model;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.serializers.JavaSerializer;
import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.DistributedAttention;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.scores.Scores;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockGrid;
import io.sparkattention.partitioning.CausalAlignment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.StorageLevel;
import scala.Tuple2;

/**
 * Runs a Llama decoder over one growing sequence, with the keys and values of all layers cached.
 * Whole blocks of a prompt go through the layers on the cluster: what is done per token where the
 * tokens are, attention by an exchange. Single tokens, and the ends of a prompt, go through them on
 * Spark's driver and send their queries to the cached blocks. How a sequence is cut into calls does
 * not touch the bits.
 */
public final class CausalDecoder implements AutoCloseable {
  /** Tokens that the driver takes at once: their states come back from every cached partition. */
  private static final int LOCAL_TOKENS = 256;

  private final SparkSession spark;
  private final JavaSparkContext context;
  private final LlamaModel model;
  private final AttentionConfig config;
  private final BlockGrid grid;
  private final Broadcast<LlamaModel> everywhere;
  private final List<LayerCache> caches = new ArrayList<>();
  private long tokens;

  /**
   * @param config block size, shards and exchange of the attention; its mask has to be causal
   */
  public CausalDecoder(SparkSession spark, LlamaModel model, AttentionConfig config) {
    refuseOtherAttention(model, config);
    this.spark = spark;
    this.context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    this.model = model;
    this.config = config;
    this.grid = new BlockGrid(config.blockTokens());
    this.everywhere = context.broadcast(model);
    LocalAttention attention = new LocalAttention(model.config().heads(), AttentionMask.causal());
    for (int layer = 0; layer < model.config().layers(); layer++) {
      caches.add(new LayerCache(context, attention, grid));
    }
  }

  /** The model says what its attention is; a setting that says otherwise is a mistake. */
  private static void refuseOtherAttention(LlamaModel model, AttentionConfig config) {
    String scores = Scores.of(config.scores(), model.config().heads().numHeads()).summary();
    String mask = config.mask().toString();
    if (!mask.equals("causal") || !scores.isEmpty() || config.scale().isPresent()) {
      throw new InvalidInputException(
          "Cannot run a decoder with mask '%s'%s%s: expected the model's own attention, causal without score functions; remove those settings"
              .formatted(
                  config.mask().summary(),
                  scores.isEmpty() ? "" : ", " + scores,
                  config.scale().isPresent() ? ", a scale" : ""));
    }
    if (config.causalAlignment() != CausalAlignment.TOP_LEFT || config.scoresOutput().isPresent()) {
      throw new InvalidInputException(
          "Cannot run a decoder with causalAlignment %s%s: expected top-left and no scoresOutput; remove those settings"
              .formatted(
                  config.causalAlignment(),
                  config.scoresOutput().isPresent() ? " and a scoresOutput" : ""));
    }
    if (config.keyValueType().isPresent() && config.keyValueType().get() != ElementType.F32) {
      throw new InvalidInputException(
          "Cannot run a decoder with keys and values in %s: expected f32; remove that setting"
              .formatted(config.keyValueType().get()));
    }
  }

  /**
   * Goes on with the sequence, token by token.
   *
   * @param prompt tokens that are given, at least one
   * @param maxTokens of the continuation, which ends before where the model ends the text
   * @return the continuation
   */
  public int[] generate(int[] prompt, int maxTokens, TokenSampling sampling) {
    int[] next = prompt;
    IntStream.Builder continuation = IntStream.builder();
    for (int i = 0; i < maxTokens; i++) {
      int token = sampling.next(append(next), tokens);
      if (token == model.config().endToken()) {
        break;
      }
      continuation.add(token);
      next = new int[] {token};
    }
    return continuation.build().toArray();
  }

  /** Tokens so far. */
  public long tokens() {
    return tokens;
  }

  /**
   * Goes on with the sequence.
   *
   * @param ids at least one token
   * @return the logit of each token to be the next, [vocabulary]
   * @throws InvalidInputException for an id beyond the vocabulary
   */
  public float[] append(int[] ids) {
    checkIds(ids);
    float[] last = null;
    for (int done = 0; done < ids.length; ) {
      int inBlock = (int) (tokens % grid.blockTokens());
      int left = ids.length - done;
      int now;
      if (inBlock == 0 && left >= grid.blockTokens()) {
        now = left / grid.blockTokens() * grid.blockTokens();
        last = onCluster(Arrays.copyOfRange(ids, done, done + now));
      } else {
        now = Math.min(Math.min(left, grid.blockTokens() - inBlock), LOCAL_TOKENS);
        last = onDriver(Arrays.copyOfRange(ids, done, done + now));
      }
      done += now;
      tokens += now;
    }
    return model.logits(last);
  }

  private void checkIds(int[] ids) {
    if (ids.length == 0) {
      throw new InvalidInputException("Cannot go on: found no tokens, expected at least one");
    }
    for (int id : ids) {
      if (id < 0 || id >= model.config().vocabulary()) {
        throw new InvalidInputException(
            "Invalid token: found id %d, expected 0 to %d of the model's vocabulary"
                .formatted(id, model.config().vocabulary() - 1));
      }
    }
  }

  /** The last token's state after all layers. */
  private float[] onDriver(int[] ids) {
    int rows = ids.length;
    float[] states = model.embed(ids);
    for (int index = 0; index < caches.size(); index++) {
      LlamaLayer layer = model.layer(index);
      LayerCache cache = caches.get(index);
      cache.append(layer.keys(states, rows, tokens), layer.values(states, rows), rows);
      float[] attended = cache.attend(layer.queries(states, rows, tokens), rows);
      cache.sealIfWhole();
      states = layer.finish(states, attended, rows);
    }
    return lastRow(states);
  }

  private float[] lastRow(float[] states) {
    return Arrays.copyOfRange(states, states.length - model.config().hidden(), states.length);
  }

  /** The same for whole blocks, which become cached blocks of every layer. */
  private float[] onCluster(int[] ids) {
    List<Tuple2<Block, int[]>> blocks = new ArrayList<>();
    for (Block block : grid.blocks(0, tokens, ids.length)) {
      int from = (int) (block.start() - tokens);
      blocks.add(new Tuple2<>(block, Arrays.copyOfRange(ids, from, from + block.tokens())));
    }
    int partitions = Math.min(blocks.size(), config.shards().orElse(context.defaultParallelism()));
    Broadcast<LlamaModel> weights = everywhere;
    JavaPairRDD<Block, float[]> states =
        context
            .parallelizePairs(blocks, partitions)
            .mapValues(tokenIds -> weights.value().embed(tokenIds))
            .persist(StorageLevel.MEMORY_AND_DISK());
    for (int index = 0; index < caches.size(); index++) {
      states = layerOnCluster(index, states, tokens + ids.length);
    }
    Block last = blocks.get(blocks.size() - 1)._1();
    float[] result = lastRow(states.filter(block -> block._1().equals(last)).first()._2());
    states.unpersist(false);
    return result;
  }

  private JavaPairRDD<Block, float[]> layerOnCluster(
      int index, JavaPairRDD<Block, float[]> states, long end) {
    Broadcast<LlamaModel> weights = everywhere;
    LayerCache cache = caches.get(index);
    SequenceShape shape = new SequenceShape("prompt", tokens, end - tokens, end);
    LayerInput input =
        new LayerInput(
            () -> weights.value().layer(index),
            model.config().heads(),
            List.of(shape),
            states,
            cache.sealed());
    JavaPairRDD<Block, float[]> next;
    try (DistributedAttention.Attended attended =
        new DistributedAttention(spark).attend(input, config)) {
      BlockGrid blocks = grid;
      next =
          states
              .cogroup(
                  attended
                      .rows()
                      .mapToPair(rows -> new Tuple2<>(whole(blocks, rows.block()), rows)))
              .mapToPair(
                  both ->
                      new Tuple2<>(
                          both._1(),
                          finish(
                              weights.value().layer(index),
                              both._1(),
                              both._2()._1().iterator().next(),
                              both._2()._2())))
              .persist(StorageLevel.MEMORY_AND_DISK());
      next.count();
      cache.seal(attended.keepKeyValues(), end);
    }
    states.unpersist(false);
    return next;
  }

  /** Names what travels to Kryo: the weights by Java serialization, once per executor. */
  public static void register(Kryo kryo) {
    kryo.register(LlamaModel.class, new JavaSerializer());
  }

  /** The block of the grid that holds what may be a part of it. */
  private static Block whole(BlockGrid grid, Block part) {
    long start = grid.index(part.start()) * grid.blockTokens();
    return new Block(part.sequence(), start, start + grid.blockTokens());
  }

  /** The layer's output of a block whose rows came in parts. */
  static float[] finish(
      AttentionLayer layer, Block block, float[] states, Iterable<AttentionRows> parts) {
    float[] context = null;
    for (AttentionRows part : parts) {
      int row = part.output().length / part.block().tokens();
      context = context == null ? new float[block.tokens() * row] : context;
      int from = (int) (part.block().start() - block.start()) * row;
      System.arraycopy(part.output(), 0, context, from, part.output().length);
    }
    return layer.finish(states, context, block.tokens());
  }

  @Override
  public void close() {
    caches.forEach(LayerCache::release);
    everywhere.destroy();
  }
}

package io.sparkattention.driver.model;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.serializers.JavaSerializer;
import io.sparkattention.driver.model.TokenProjection.Range;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockGrid;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.StorageLevel;
import scala.Tuple2;

/**
 * The strongest links of every token in every head of an encoder's first layer, for a text of any
 * length. Every run of queries meets every run of keys in a task of its own; what the tasks found
 * for the same queries is merged. A full map of weights is never formed: a task holds the scores of
 * one pair of blocks. The rows do not depend on the number of runs.
 */
public final class FirstLayerLinks {
  /** Tokens of a block: its scores of twelve heads are 12 MiB. */
  private static final int BLOCK_TOKENS = 512;

  /** Blocks of a run at most: with 384 numbers in a row its queries and keys are 48 MiB. */
  private static final int RUN_BLOCKS = 32;

  private final BertModel model;
  private final TokenizedText text;
  private final TokenProjection projection;
  private final int limit;

  /**
   * @param positions for tokens beyond the model's positions
   * @param limit links per token and head, from 1
   */
  public FirstLayerLinks(BertModel model, TokenizedText text, Positions positions, int limit) {
    this.model = model;
    this.text = text;
    this.projection = new TokenProjection(model, positions, "", text);
    this.limit = Math.min(limit, text.size());
  }

  /**
   * Writes them as the Parquet dataset of {@link TokenLinkTable}.
   *
   * @param runs parts that queries and keys are cut into at least, where there are as many blocks
   * @return the number of links
   */
  public long write(SparkSession spark, int runs, String path) {
    JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    Broadcast<TokenProjection> shared = context.broadcast(projection);
    int hidden = model.config().hidden();
    List<Range> ranges = ranges(text.size(), runs);
    JavaRDD<ProjectedRun> projected =
        context
            .parallelize(ranges, ranges.size())
            .map(range -> new ProjectedRun(shared.value(), range, hidden))
            .persist(StorageLevel.MEMORY_AND_DISK());
    Pairs pairs = new Pairs(model.config().numHeads(), model.config().headDim(), limit);
    try {
      JavaRDD<TokenLink> links =
          projected
              .cartesian(projected)
              .flatMapToPair(pair -> pairs.links(pair._1(), pair._2()).iterator())
              .reduceByKey(BlockLinks::merge, ranges.size())
              .flatMap(block -> block._2().links(shared.value()).iterator());
      TokenLinkTable.of(spark, links).write().parquet(path);
      return (long) text.size() * model.config().numHeads() * limit;
    } finally {
      projected.unpersist();
      shared.destroy();
    }
  }

  /** Runs of whole blocks. */
  static List<Range> ranges(int tokens, int runs) {
    int blocks = (tokens - 1) / BLOCK_TOKENS + 1;
    int count = Math.max(Math.min(runs, blocks), (blocks - 1) / RUN_BLOCKS + 1);
    List<Range> ranges = new ArrayList<>();
    for (Range run : Range.of(blocks, count)) {
      int end = run.end == blocks ? tokens : run.end * BLOCK_TOKENS;
      ranges.add(new Range(run.start * BLOCK_TOKENS, end));
    }
    return ranges;
  }

  /** Names what travels to Kryo: by Java serialization. */
  public static void register(Kryo kryo) {
    kryo.register(ProjectedRun.class, new JavaSerializer());
    kryo.register(BlockLinks.class, new JavaSerializer());
  }

  /** What a run of queries finds in a run of keys. */
  private record Pairs(int numHeads, int headDim, int limit) implements Serializable {

    /** By first query position, one for each block of queries. */
    List<Tuple2<Integer, BlockLinks>> links(ProjectedRun from, ProjectedRun to) {
      LocalAttention attention =
          new LocalAttention(new HeadLayout(numHeads, numHeads, headDim, 1), AttentionMask.full());
      List<Block> keyBlocks = new BlockGrid(BLOCK_TOKENS).blocks(0, to.start, to.tokens);
      List<KeyValueBlock> keys = new ArrayList<>();
      for (Block at : keyBlocks) {
        float[] zeros = new float[at.tokens() * numHeads];
        keys.add(attention.keyValues(rows(to.keys, to, at), zeros, at.tokens()));
      }
      List<Tuple2<Integer, BlockLinks>> found = new ArrayList<>();
      for (Block at : new BlockGrid(BLOCK_TOKENS).blocks(0, from.start, from.tokens)) {
        QueryBlock queries = attention.queries(rows(from.queries, from, at), at.tokens());
        BlockLinks links = new BlockLinks((int) at.start(), at.tokens(), numHeads, limit);
        for (int i = 0; i < keys.size(); i++) {
          links.see(queries, (int) keyBlocks.get(i).start(), keys.get(i));
        }
        found.add(new Tuple2<>((int) at.start(), links));
      }
      return found;
    }

    private float[] rows(float[] rows, ProjectedRun run, Block at) {
      int hidden = numHeads * headDim;
      int first = (int) at.start() - run.start;
      return Arrays.copyOfRange(rows, first * hidden, (first + at.tokens()) * hidden);
    }
  }
}

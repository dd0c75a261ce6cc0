package io.sparkattention.driver.model;

import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockGrid;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.storage.StorageLevel;
import scala.Tuple2;

/**
 * The keys and values that one layer of a decoder has seen. Whole blocks of the grid are packed and
 * stay on the cluster; those of the last, unfinished block are on Spark's driver, where decoding
 * adds to them. Queries go to the blocks and their states come back, as in the {@code reduce}
 * exchange, so that the bits are those of any exchange.
 */
final class LayerCache {
  private final JavaSparkContext context;
  private final LocalAttention attention;
  private final BlockGrid grid;

  /** Whole blocks; null while there are none. */
  private JavaRDD<PlacedKeyValues> sealed;

  /** What holds them on the cluster. */
  private final List<JavaRDD<PlacedKeyValues>> held = new ArrayList<>();

  /** Position of the unfinished block's first token. */
  private long tailStart;

  private int tailTokens;

  /** [blockTokens, numKeyValueHeads, headDim], of which tailTokens rows are there. */
  private final float[] tailKeys;

  /** [blockTokens, numKeyValueHeads, valueDim], likewise. */
  private final float[] tailValues;

  LayerCache(JavaSparkContext context, LocalAttention attention, BlockGrid grid) {
    this.context = context;
    this.attention = attention;
    this.grid = grid;
    HeadLayout heads = attention.heads();
    int keyRow = heads.numKeyValueHeads() * heads.keyDim();
    int valueRow = heads.numKeyValueHeads() * heads.valueDim();
    this.tailKeys = new float[Math.multiplyExact(grid.blockTokens(), keyRow)];
    this.tailValues = new float[Math.multiplyExact(grid.blockTokens(), valueRow)];
  }

  /** Whole blocks, all before the unfinished one; null while there are none. */
  JavaRDD<PlacedKeyValues> sealed() {
    return sealed;
  }

  /**
   * Takes over the whole blocks of all positions so far.
   *
   * @param blocks persisted
   * @param end position after the last of them
   */
  void seal(JavaRDD<PlacedKeyValues> blocks, long end) {
    release();
    held.add(blocks);
    sealed = blocks;
    tailStart = end;
    tailTokens = 0;
  }

  /**
   * Adds keys and values of consecutive positions; at most as many as the unfinished block lacks.
   *
   * @param keys [rows, numKeyValueHeads, headDim]
   * @param values [rows, numKeyValueHeads, valueDim]
   */
  void append(float[] keys, float[] values, int rows) {
    int keyRow = tailKeys.length / grid.blockTokens();
    int valueRow = tailValues.length / grid.blockTokens();
    System.arraycopy(keys, 0, tailKeys, tailTokens * keyRow, rows * keyRow);
    System.arraycopy(values, 0, tailValues, tailTokens * valueRow, rows * valueRow);
    tailTokens += rows;
  }

  /** Sends the unfinished block to the cluster once nothing is missing. */
  void sealIfWhole() {
    if (tailTokens < grid.blockTokens()) {
      return;
    }
    LocalAttention packing = attention;
    Block block = tail();
    JavaRDD<PlacedKeyValues> whole =
        context
            .parallelize(List.of(new Tuple2<>(tailKeys.clone(), tailValues.clone())), 1)
            .map(
                rows ->
                    new PlacedKeyValues(
                        block, packing.keyValues(rows._1(), rows._2(), block.tokens())))
            .persist(StorageLevel.MEMORY_AND_DISK());
    whole.count();
    held.add(whole);
    sealed = sealed == null ? whole : sealed.union(whole);
    tailStart = block.end();
    tailTokens = 0;
  }

  /**
   * Attention of queries whose own keys were the last to be appended.
   *
   * @param queries [rows, numHeads, headDim], at the last {@code rows} positions
   * @return weighted values, [rows, numHeads, valueDim]
   */
  float[] attend(float[] queries, int rows) {
    Block at = new Block(0, tail().end() - rows, tail().end());
    AttentionState state = attention.emptyState(rows);
    if (sealed != null) {
      state.merge(ofSealed(at, queries));
    }
    attention.fold(
        at,
        attention.queries(queries, rows),
        tail(),
        attention.keyValues(tailKeys, tailValues, tailTokens),
        state);
    return attention.finish(state);
  }

  private Block tail() {
    return new Block(0, tailStart, tailStart + tailTokens);
  }

  /** The packed queries are not sent: rows are smaller, and a task packs them in no time. */
  private AttentionState ofSealed(Block at, float[] queries) {
    LocalAttention folding = attention;
    float[] rows = Arrays.copyOf(queries, queries.length);
    return sealed
        .mapPartitions(
            blocks -> {
              QueryBlock packed = folding.queries(rows, at.tokens());
              AttentionState state = folding.emptyState(at.tokens());
              blocks.forEachRemaining(
                  keys -> folding.fold(at, packed, keys.block(), keys.keyValues(), state));
              return List.of(state).iterator();
            })
        .treeReduce(
            (into, other) -> {
              into.merge(other);
              return into;
            });
  }

  /** Gives up what is on the cluster. */
  void release() {
    held.forEach(blocks -> blocks.unpersist(false));
    held.clear();
    sealed = null;
  }
}

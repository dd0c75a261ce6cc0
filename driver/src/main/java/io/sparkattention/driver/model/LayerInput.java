package io.sparkattention.driver.model;

import io.sparkattention.driver.AttentionInput;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockGrid;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import org.apache.spark.HashPartitioner;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.Function0;
import scala.Tuple2;

/**
 * The queries, keys and values that one layer of a model makes of hidden states, and those that it
 * has made of the states before them.
 */
final class LayerInput implements AttentionInput {
  private final Function0<? extends AttentionLayer> layer;
  private final JavaPairRDD<Block, float[]> states;
  private final JavaRDD<PlacedKeyValues> cached;
  private final HeadLayout heads;
  private final List<SequenceShape> shapes;

  /**
   * @param layer the layer, called in the tasks
   * @param shapes of all sequences
   * @param states the layer's input, [tokens, hidden] of the grid's blocks
   * @param cached packed keys and values of all blocks before; null where there are none
   */
  LayerInput(
      Function0<? extends AttentionLayer> layer,
      HeadLayout heads,
      List<SequenceShape> shapes,
      JavaPairRDD<Block, float[]> states,
      JavaRDD<PlacedKeyValues> cached) {
    this.layer = layer;
    this.heads = heads;
    this.shapes = List.copyOf(shapes);
    this.states = states;
    this.cached = cached;
  }

  @Override
  public HeadLayout layout() {
    return heads;
  }

  @Override
  public ElementType keyValueType() {
    return ElementType.F32;
  }

  @Override
  public List<SequenceShape> sequences() {
    return shapes;
  }

  @Override
  public JavaRDD<PlacedQueries> queries(AttentionPlan plan) {
    // A plan may cut a block of queries, for even work.
    HashMap<Tuple2<Integer, Long>, List<Tuple2<Integer, Block>>> parts = new HashMap<>();
    int[] partitions = plan.queryPartitions();
    for (int i = 0; i < partitions.length; i++) {
      Block part = plan.queryBlocks().get(i);
      parts
          .computeIfAbsent(place(plan.grid(), part), index -> new ArrayList<>())
          .add(new Tuple2<>(partitions[i], part));
    }
    BlockGrid grid = plan.grid();
    Function0<? extends AttentionLayer> weights = layer;
    LocalAttention packing = new LocalAttention(heads, AttentionMask.causal());
    return states
        .flatMapToPair(
            state -> {
              Block block = state._1();
              float[] queries = weights.call().queries(state._2(), block.tokens(), block.start());
              return parts.get(place(grid, block)).stream()
                  .map(part -> new Tuple2<>(part._1(), packing.queries(queries, block, part._2())))
                  .iterator();
            })
        .partitionBy(new HashPartitioner(plan.queryPartitionCount()))
        .values();
  }

  @Override
  public JavaRDD<PlacedKeyValues> keyValues(AttentionPlan plan) {
    HashMap<Block, Integer> runs = new HashMap<>();
    for (int run = 0; run < plan.keyRuns().size(); run++) {
      for (Block block : plan.keyRuns().get(run)) {
        runs.put(block, run);
      }
    }
    Function0<? extends AttentionLayer> weights = layer;
    LocalAttention packing = new LocalAttention(heads, AttentionMask.causal());
    JavaPairRDD<Integer, PlacedKeyValues> all =
        states.mapToPair(
            state ->
                new Tuple2<>(
                    runs.get(state._1()),
                    keyValues(weights.call(), packing, state._1(), state._2())));
    if (cached != null) {
      all = all.union(cached.mapToPair(keys -> new Tuple2<>(runs.get(keys.block()), keys)));
    }
    return all.partitionBy(new HashPartitioner(plan.keyRuns().size())).values();
  }

  private static Tuple2<Integer, Long> place(BlockGrid grid, Block block) {
    return new Tuple2<>(block.sequence(), grid.index(block.start()));
  }

  private static PlacedKeyValues keyValues(
      AttentionLayer layer, LocalAttention packing, Block block, float[] states) {
    float[] keys = layer.keys(states, block.tokens(), block.start());
    float[] values = layer.values(states, block.tokens());
    return new PlacedKeyValues(block, packing.keyValues(keys, values, block.tokens()));
  }
}

package io.sparkattention.driver.io;

import io.sparkattention.driver.AttentionInput;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.partitioning.Block;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;

/**
 * One sequence of pseudo-random queries, keys and values that the executors compute: for
 * experiments of any length without a file. Element i of a head's row at a position is a function
 * of the seed, the tensor, the head, the position and i alone, of mean 0 and variance 1.
 */
public final class SyntheticInput implements AttentionInput {
  private final JavaSparkContext context;
  private final HeadLayout layout;
  private final long tokens;
  private final long seed;

  /**
   * @param tokens queries, and keys
   */
  public SyntheticInput(SparkSession spark, HeadLayout layout, long tokens, long seed) {
    this.context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    this.layout = layout;
    this.tokens = tokens;
    this.seed = seed;
  }

  @Override
  public HeadLayout layout() {
    return layout;
  }

  @Override
  public ElementType keyValueType() {
    return ElementType.F32;
  }

  @Override
  public List<SequenceShape> sequences() {
    return List.of(new SequenceShape("synthetic", 0, tokens, tokens));
  }

  @Override
  public JavaRDD<PlacedQueries> queries(AttentionPlan plan) {
    Rows rows = new Rows(layout, seed);
    double scale = plan.scale();
    return OwnedBlocks.queries(context, plan, block -> rows.queries(block, scale));
  }

  @Override
  public JavaRDD<PlacedKeyValues> keyValues(AttentionPlan plan) {
    Rows rows = new Rows(layout, seed);
    ElementType type = plan.keyValueType();
    return OwnedBlocks.keyValues(context, plan, block -> rows.keyValues(block, type));
  }

  /** Makes rows on an executor. */
  private record Rows(HeadLayout layout, long seed) implements java.io.Serializable {
    PlacedQueries queries(Block block, double scale) {
      QueryBlock.Packer packer = new QueryBlock.Packer(layout, block.tokens(), scale);
      float[] row = new float[layout.keyDim()];
      for (int head = 0; head < layout.numHeads(); head++) {
        for (int i = 0; i < block.tokens(); i++) {
          fill(row, 'q', head, block.start() + i);
          packer.put(head, i, row, 0);
        }
      }
      return new PlacedQueries(block, packer.pack());
    }

    PlacedKeyValues keyValues(Block block, ElementType type) {
      // The executor makes rows and packs for longer than the kernel takes to compile.
      AttentionKernels.startWarmUp();
      KeyValueBlock.Packer packer = new KeyValueBlock.Packer(layout, block.tokens(), type);
      float[] key = new float[layout.keyDim()];
      float[] value = new float[layout.valueDim()];
      for (int head = 0; head < layout.numKeyValueHeads(); head++) {
        for (int i = 0; i < block.tokens(); i++) {
          fill(key, 'k', head, block.start() + i);
          packer.putKey(head, i, key, 0);
          fill(value, 'v', head, block.start() + i);
          packer.putValue(head, i, value, 0);
        }
      }
      return new PlacedKeyValues(block, packer.pack());
    }

    private void fill(float[] row, char tensor, int head, long position) {
      long stream = mix(mix(mix(seed + tensor) + head) + position);
      for (int i = 0; i < row.length; i++) {
        row[i] = number(mix(stream + i));
      }
    }

    /**
     * The sum of four uniform numbers, close to a normal one and at most 3.47; integers up to its
     * scaling, so that every JVM has the same bits.
     */
    private static float number(long bits) {
      long sum = (bits & 0xffff) + (bits >>> 16 & 0xffff) + (bits >>> 32 & 0xffff) + (bits >>> 48);
      return (sum - 2 * 0xffff) * (float) (Math.sqrt(3) / 0x1p16);
    }

    /** SplitMix64's step and output function (Steele, Lea and Flood 2014). */
    private static long mix(long x) {
      long z = x + 0x9e3779b97f4a7c15L;
      z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
      z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
      return z ^ z >>> 31;
    }
  }
}

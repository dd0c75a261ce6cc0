package io.sparkattention.driver;

import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.scores.ScoreConfig;
import io.sparkattention.driver.scores.Scores;
import io.sparkattention.kernels.AttentionKernel;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.kernels.ReferenceAttention;
import io.sparkattention.kernels.ScoreTransform;
import io.sparkattention.kernels.VisibleKeys;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockGrid;
import io.sparkattention.partitioning.CausalAlignment;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.spark.SparkConf;

/**
 * Random queries, keys and values of one sequence, and what attention has to make of them.
 *
 * @param seed where the numbers come from, for messages
 * @param query [numHeads, queries, keyDim]
 * @param key [numKeyValueHeads, keys, keyDim]
 * @param value [numKeyValueHeads, keys, valueDim]
 */
@SuppressWarnings(
    "ArrayRecordComponent") // the arrays are read and, in some tests, written in place
record RandomSequence(
    long seed,
    HeadLayout layout,
    int queries,
    int keys,
    float[] query,
    float[] key,
    float[] value) {

  /** Normally distributed numbers. */
  static RandomSequence of(long seed, HeadLayout layout, int queries, int keys) {
    Random random = new Random(seed);
    return new RandomSequence(
        seed,
        layout,
        queries,
        keys,
        normal(random, layout.numHeads() * queries * layout.keyDim()),
        normal(random, layout.numKeyValueHeads() * keys * layout.keyDim()),
        normal(random, layout.numKeyValueHeads() * keys * layout.valueDim()));
  }

  /** A batch: sequences of one shape, their seeds counted from the given one. */
  static List<RandomSequence> batch(
      int batch, long seed, HeadLayout layout, int queries, int keys) {
    List<RandomSequence> sequences = new ArrayList<>();
    for (int b = 0; b < batch; b++) {
      sequences.add(of(seed + b, layout, queries, keys));
    }
    return sequences;
  }

  private static float[] normal(Random random, int count) {
    float[] x = new float[count];
    for (int i = 0; i < count; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  /** The same sequence with arrays of its own. */
  RandomSequence copy() {
    return new RandomSequence(
        seed, layout, queries, keys, query.clone(), key.clone(), value.clone());
  }

  /** The numbers that a file of the given element type holds. */
  RandomSequence rounded(DataType type) {
    return new RandomSequence(
        seed,
        layout,
        queries,
        keys,
        rounded(type, query),
        rounded(type, key),
        rounded(type, value));
  }

  static float[] rounded(DataType type, float[] exact) {
    ByteBuffer bytes = ByteBuffer.allocate(exact.length * type.bytes());
    type.encode(exact, 0, exact.length, bytes);
    float[] rounded = new float[exact.length];
    type.decode(bytes.flip(), rounded, 0, rounded.length);
    return rounded;
  }

  /** The same queries with the first keys and values alone. */
  RandomSequence withKeys(int count) {
    return withKeys(0, count);
  }

  /** The same queries with the keys and values [from, to) alone. */
  RandomSequence withKeys(int from, int to) {
    return new RandomSequence(
        seed,
        layout,
        queries,
        to - from,
        query,
        rows(key, from, to, layout.keyDim()),
        rows(value, from, to, layout.valueDim()));
  }

  private float[] rows(float[] byHead, int from, int to, int dim) {
    int size = (to - from) * dim;
    float[] rows = new float[layout.numKeyValueHeads() * size];
    for (int head = 0; head < layout.numKeyValueHeads(); head++) {
      System.arraycopy(byHead, (head * keys + from) * dim, rows, head * size, size);
    }
    return rows;
  }

  /** The formula in float64. */
  ReferenceAttention.Result reference(AttentionMask mask, CausalAlignment alignment) {
    double[] noSinks = new double[layout.numHeads()];
    Arrays.fill(noSinks, Double.NEGATIVE_INFINITY);
    return reference(mask, alignment, (head, i, j, s) -> s, (head, i, j) -> 1, noSinks);
  }

  /**
   * The formula in float64.
   *
   * @param scores of a scaled score, before the mask
   */
  ReferenceAttention.Result reference(
      AttentionMask mask,
      CausalAlignment alignment,
      ReferenceAttention.Scores scores,
      ReferenceAttention.Weights weights,
      double[] sinks) {
    long offset = alignment.offset(queries, keys);
    double scale = 1 / Math.sqrt(layout.keyDim());
    return ReferenceAttention.attend(
        layout,
        new ReferenceAttention.Tensors(query, key, value),
        (head, i, j, s) ->
            sees(mask, i, j, offset) ? scores.of(head, i, j, scale * s) : Double.NEGATIVE_INFINITY,
        weights,
        sinks);
  }

  /** Whether a query of this position sees a key of that. */
  static boolean sees(AttentionMask mask, int query, int key, long offset) {
    Block one = new Block(0, query, query + 1L);
    Block other = new Block(0, key, key + 1L);
    return mask.visiblePairs(one, other, offset) == 1;
  }

  /** What one thread computes from this sequence alone, without a cluster: all bits count. */
  Attended alone(AttentionMask mask, int blockTokens) {
    ScoreConfig plain = AttentionConfig.resolve(Map.of(), new SparkConf(false)).scores();
    return alone(mask, CausalAlignment.TOP_LEFT, blockTokens, Scores.of(plain, layout.numHeads()));
  }

  /** The same with score functions. */
  Attended alone(AttentionMask mask, CausalAlignment alignment, int blockTokens, Scores scores) {
    long offset = alignment.offset(queries, keys);
    Attended result = new Attended(layout, queries);
    BlockGrid grid = new BlockGrid(blockTokens);
    AttentionKernel kernel = AttentionKernels.auto().kernel();
    for (Block q : grid.blocks(0, 0, queries)) {
      AttentionState state = new AttentionState(layout.numHeads(), q.tokens(), layout.valueDim());
      for (Block k : grid.blocks(0, 0, keys)) {
        int wordsPerRow = AttentionMask.wordsPerRow(k);
        long[] words = new long[q.tokens() * wordsPerRow];
        mask.visible(q, k, offset, words);
        kernel.fold(
            pack(q),
            packKeyValues(k),
            VisibleKeys.ofBits(words, wordsPerRow),
            new ScoreTransform(scores.softcap(), scores.biases(q, k, offset), scores.dropout(q, k)),
            state,
            1);
      }
      for (int head = 0; head < layout.numHeads(); head++) {
        for (int row = 0; row < q.tokens(); row++) {
          int index = head * queries + (int) q.start() + row;
          result.logSumExp()[index] =
              state.finish(
                  head,
                  row,
                  scores.sink(head),
                  scores.dropoutProbability(),
                  result.output(),
                  index * layout.valueDim());
        }
      }
    }
    return result;
  }

  private QueryBlock pack(Block block) {
    double scale = 1 / Math.sqrt(layout.keyDim());
    QueryBlock.Packer packer = new QueryBlock.Packer(layout, block.tokens(), scale);
    for (int head = 0; head < layout.numHeads(); head++) {
      for (int row = 0; row < block.tokens(); row++) {
        int index = head * queries + (int) block.start() + row;
        packer.put(head, row, query, index * layout.keyDim());
      }
    }
    return packer.pack();
  }

  private KeyValueBlock packKeyValues(Block block) {
    KeyValueBlock.Packer packer = new KeyValueBlock.Packer(layout, block.tokens());
    for (int head = 0; head < layout.numKeyValueHeads(); head++) {
      for (int row = 0; row < block.tokens(); row++) {
        int index = head * keys + (int) block.start() + row;
        packer.putKey(head, row, key, index * layout.keyDim());
        packer.putValue(head, row, value, index * layout.valueDim());
      }
    }
    return packer.pack();
  }

  /** For messages: what is needed to draw the same numbers again. */
  @Override
  public String toString() {
    return "seed %d, %s, %d queries × %d keys".formatted(seed, layout, queries, keys);
  }
}

package io.sparkattention.driver;

import io.sparkattention.driver.io.DataType;
import io.sparkattention.partitioning.AttentionMask;
import java.util.Random;

/** A mask of each kind, by its text or as a tensor of the input; lists fit into 41 positions. */
enum MaskKind {
  FULL("full"),
  CAUSAL("causal"),
  WINDOW("sliding-window:11"),
  TWO_SIDED_WINDOW("sliding-window:9,5"),
  DILATED_WINDOW("dilated-window:30,3,9"),
  PREFIX("prefix:13"),
  DOCUMENTS("documents:20,1,17"),
  GLOBAL("global:3"),
  GLOBAL_POSITIONS("global-positions:0,7,33"),
  SINKS("sinks:4"),
  BLOCK_SPARSE("block-sparse:9,0-0,2-1,3-4,4-0"),
  RANDOM_BLOCKS("random-blocks:2,7,8,5"),
  BIGBIRD("bigbird:5,2,1,7,8,5"),
  STREAMING("streaming:2,9"),
  BLOCK_TOP_K("block-top-k:3,8"),
  BOOLS("attn_mask"),
  NUMBERS("attn_mask");

  private final String text;

  MaskKind(String text) {
    this.text = text;
  }

  /** As {@code --mask} takes it; of a tensor its name, which that refuses. */
  String text() {
    return text;
  }

  boolean isTensor() {
    return this == BOOLS || this == NUMBERS;
  }

  /** As documents name it. */
  String label() {
    return "`%s`%s".formatted(text, this == BOOLS ? " BOOL" : this == NUMBERS ? " numbers" : "");
  }

  /**
   * What is added to the scores of a sequence, 0 or −∞ where it is no tensor of numbers; of block
   * top-k what it may choose from.
   *
   * @param tensor that of {@link #tensor}, where this is one
   * @return [heads, queries, keys], keys that are padding included
   */
  float[] added(InputShape shape, int heads, int sequence, float[] tensor) {
    if (isTensor()) {
      return tensor;
    }
    AttentionMask mask = AttentionMask.parse(text);
    int plane = shape.queries() * shape.keys();
    float[] added = new float[heads * plane];
    for (int i = 0; i < shape.queries(); i++) {
      for (int j = 0; j < shape.keys(); j++) {
        boolean seen = RandomSequence.sees(mask, i, j, shape.offset(sequence));
        added[i * shape.keys() + j] = seen ? 0 : Float.NEGATIVE_INFINITY;
      }
    }
    for (int head = 1; head < heads; head++) {
      System.arraycopy(added, 0, added, head * plane, plane);
    }
    return added;
  }

  /**
   * A random tensor of this kind: a fifth of it masks, and all of the second query of each head.
   *
   * @return [heads, queries, keys], added to the scores
   */
  float[] tensor(InputShape shape, int heads, long seed, DataType type) {
    Random random = new Random(seed);
    int rowSize = shape.keys();
    float[] numbers = new float[heads * shape.queries() * rowSize];
    for (int i = 0; i < numbers.length; i++) {
      boolean masks = random.nextInt(5) == 0 || i / rowSize % shape.queries() == 1;
      float number = this == BOOLS ? 0 : 2 * (float) random.nextGaussian();
      numbers[i] = masks ? Float.NEGATIVE_INFINITY : number;
    }
    return RandomSequence.rounded(type, numbers);
  }

  /** The tensor as a file has it: of BOOL 1 where a query sees a key. */
  float[] stored(float[] tensor) {
    if (this == NUMBERS) {
      return tensor;
    }
    float[] seen = new float[tensor.length];
    for (int i = 0; i < seen.length; i++) {
      seen[i] = tensor[i] == 0 ? 1 : 0;
    }
    return seen;
  }
}

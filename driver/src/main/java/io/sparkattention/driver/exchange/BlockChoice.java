package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.kernels.AttentionKernel;
import io.sparkattention.kernels.BlockGate;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.HeadSlice;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockGrid;
import io.sparkattention.partitioning.Coverage;
import io.sparkattention.partitioning.TopK;
import java.io.Serializable;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import scala.Tuple2;

/**
 * Which key blocks the queries of a run choose where its mask asks for block top-k: by the mean
 * keys of the whole sequence, which every task has. Travels with the tasks.
 */
final class BlockChoice implements Serializable {
  private static final long serialVersionUID = 1L;

  /** The heads that choose; in their blocks they count from 0. */
  private final HeadSlice heads;

  private final HeadLayout layout;
  private final AttentionMask mask;
  private final TopK topK;
  private final BlockGrid grid;
  private final long[] offsets;

  /** [sequences]: keys of each. */
  private final long[] keys;

  /** [sequences][numKeyValueHeads, blocks of the mask, keyDim]. */
  private final Broadcast<float[][]> means;

  /** What the task's queries chose, [numHeads, rows, words]. */
  private transient Map<Block, long[]> chosen;

  private transient BlockGate[] gates;

  private BlockChoice(AttentionPlan plan, TopK topK, JavaRDD<PlacedKeyValues> keyValues) {
    this.heads = HeadSlice.whole(plan.layout());
    this.layout = plan.layout();
    this.mask = plan.mask();
    this.topK = topK;
    this.grid = plan.grid();
    this.offsets = plan.offsets();
    this.keys = plan.sequences().stream().mapToLong(SequenceShape::keys).toArray();
    this.means = JavaSparkContext.fromSparkContext(keyValues.context()).broadcast(means(keyValues));
  }

  private BlockChoice(BlockChoice all, HeadSlice heads) {
    this.heads = heads;
    this.layout = heads.layout();
    this.mask = all.mask;
    this.topK = all.topK;
    this.grid = all.grid;
    this.offsets = all.offsets;
    this.keys = all.keys;
    this.means = all.means;
  }

  /** The choice of some of the heads, whose blocks hold no others. */
  BlockChoice ofHeads(HeadSlice slice) {
    return slice.isWhole() ? this : new BlockChoice(this, slice);
  }

  /**
   * Computes the mean keys where the keys are.
   *
   * @param keyValues persisted and materialised
   */
  static BlockChoice of(AttentionPlan plan, TopK topK, JavaRDD<PlacedKeyValues> keyValues) {
    return new BlockChoice(plan, topK, keyValues);
  }

  private float[][] means(JavaRDD<PlacedKeyValues> keyValues) {
    int size = (int) topK.blockTokens();
    float[][] all = new float[keys.length][];
    for (int sequence = 0; sequence < keys.length; sequence++) {
      all[sequence] = new float[layout.numKeyValueHeads() * blocks(sequence) * layout.keyDim()];
    }
    keyValues
        .map(placed -> new Tuple2<>(placed.block(), placed.keyValues().meanKeys(size)))
        .collect()
        .forEach(ofBlock -> copy(ofBlock._1(), ofBlock._2(), all[ofBlock._1().sequence()]));
    return all;
  }

  /**
   * From the blocks of a key block, [numKeyValueHeads, count, keyDim], to those of its sequence.
   */
  private void copy(Block block, float[] from, float[] to) {
    int rowFloats = from.length / layout.numKeyValueHeads();
    int first = (int) (block.start() / topK.blockTokens());
    for (int head = 0; head < layout.numKeyValueHeads(); head++) {
      int target = (head * blocks(block.sequence()) + first) * layout.keyDim();
      System.arraycopy(from, head * rowFloats, to, target, rowFloats);
    }
  }

  private int blocks(int sequence) {
    return (int) ((keys[sequence] + topK.blockTokens() - 1) / topK.blockTokens());
  }

  /** [numHeads, query rows, words of a row]: the keys of a block that the queries see. */
  long[] bits(AttentionKernel kernel, PlacedQueries queries, Block keys) {
    if (chosen == null) {
      chosen = new HashMap<>();
      gates = new BlockGate[this.keys.length];
    }
    Block q = queries.block();
    long[] blocks = chosen.computeIfAbsent(q, block -> choose(kernel, queries));
    int rows = q.tokens();
    int blockWords = gate(q.sequence()).wordsPerRow();
    long[] ofHead = new long[Math.multiplyExact(rows, AttentionMask.wordsPerRow(keys))];
    long[] all = new long[Math.multiplyExact(layout.numHeads(), ofHead.length)];
    for (int head = 0; head < layout.numHeads(); head++) {
      int first = head * rows;
      mask.visible(
          q,
          keys,
          offsets[q.sequence()],
          ofHead,
          (row, block) -> isSet(blocks, (first + row) * blockWords, (int) block));
      System.arraycopy(ofHead, 0, all, head * ofHead.length, ofHead.length);
    }
    return all;
  }

  private static boolean isSet(long[] bits, int firstWord, int index) {
    return (bits[firstWord + index / Long.SIZE] >>> index & 1) != 0;
  }

  private BlockGate gate(int sequence) {
    if (gates[sequence] == null) {
      float[] all = means.value()[sequence];
      int perHead = all.length / heads.whole().numKeyValueHeads();
      int first = heads.firstKeyValueHead() * perHead;
      float[] own = Arrays.copyOfRange(all, first, first + layout.numKeyValueHeads() * perHead);
      gates[sequence] = new BlockGate(layout, blocks(sequence), own);
    }
    return gates[sequence];
  }

  private long[] choose(AttentionKernel kernel, PlacedQueries queries) {
    Block q = queries.block();
    BlockGate gate = gate(q.sequence());
    long[] candidates = new long[Math.multiplyExact(q.tokens(), gate.wordsPerRow())];
    for (Block k : grid.blocks(q.sequence(), 0, keys[q.sequence()])) {
      addCandidates(q, k, gate.wordsPerRow(), candidates);
    }
    int[] own = new int[q.tokens()];
    for (int row = 0; row < own.length; row++) {
      long aligned = q.start() + row + offsets[q.sequence()];
      // Behind the last key too, where that block has keys.
      long block = Math.floorDiv(aligned, topK.blockTokens());
      own[row] = block >= 0 && block < blocks(q.sequence()) ? (int) block : -1;
    }
    return gate.choose(kernel, queries.queries(), topK.count(), candidates, own);
  }

  /** A row's candidates are the blocks of which the mask shows it a key, whatever it chooses. */
  private void addCandidates(Block q, Block k, int blockWords, long[] candidates) {
    long offset = offsets[q.sequence()];
    if (mask.coverage(q, k, offset) == Coverage.EMPTY) {
      return;
    }
    int size = (int) topK.blockTokens();
    int wordsPerRow = AttentionMask.wordsPerRow(k);
    long[] words = new long[Math.multiplyExact(q.tokens(), wordsPerRow)];
    mask.visible(q, k, offset, words);
    for (int row = 0; row < q.tokens(); row++) {
      for (int from = 0; from < k.tokens(); from += size) {
        int to = Math.min(from + size, k.tokens());
        if (seesAny(words, row * wordsPerRow, from, to)) {
          int block = (int) ((k.start() + from) / size);
          candidates[row * blockWords + block / Long.SIZE] |= 1L << block;
        }
      }
    }
  }

  private static boolean seesAny(long[] words, int firstWord, int from, int to) {
    for (int key = from; key < to; key++) {
      long rest = words[firstWord + key / Long.SIZE] >>> key;
      if (rest == 0) {
        key |= Long.SIZE - 1;
      } else {
        return key + Long.numberOfTrailingZeros(rest) < to;
      }
    }
    return false;
  }
}

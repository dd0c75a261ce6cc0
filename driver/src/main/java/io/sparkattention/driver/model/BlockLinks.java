package io.sparkattention.driver.model;

import io.sparkattention.kernels.AttentionKernel;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.kernels.ScoreMatrix;
import io.sparkattention.kernels.ScoreTransform;
import io.sparkattention.kernels.VisibleKeys;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * The strongest links of a block of queries to the keys that it has seen so far: per head and query
 * the keys with the largest scores, and the attention state, whose log-sum-exp makes weights of
 * scores. Merging is exact: the order does not touch the bits.
 */
final class BlockLinks implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Position of the first query. */
  private final int start;

  /** Rows are [numHeads, queries]. */
  private final StrongestKeys strongest;

  private transient AttentionState sums;

  /**
   * @param limit links per query and head
   */
  BlockLinks(int start, int queries, int numHeads, int limit) {
    this.start = start;
    this.strongest = new StrongestKeys(Math.multiplyExact(numHeads, queries), limit);
    // Of the state only the log-sum-exp is wanted: values are one column of zeros.
    this.sums = new AttentionState(numHeads, queries, 1);
  }

  /**
   * Shows a block of keys to the queries.
   *
   * @param firstKey position of the first key
   */
  void see(QueryBlock queries, int firstKey, KeyValueBlock keys) {
    AttentionKernel kernel = AttentionKernels.named("auto").kernel();
    float[] scores = ScoreMatrix.of(kernel, queries, keys, VisibleKeys.all(), ScoreTransform.NONE);
    for (int i = 0; i < scores.length; i++) {
      strongest.offer(i / keys.keys(), firstKey + i % keys.keys(), scores[i]);
    }
    kernel.fold(queries, keys, VisibleKeys.all(), sums);
  }

  /** Adds what the same queries saw of other keys. */
  BlockLinks merge(BlockLinks other) {
    strongest.merge(other.strongest);
    sums.merge(other.sums);
    return this;
  }

  /** The links, once all keys were seen: weight = e^(score − logSumExp). */
  List<TokenLink> links(TokenProjection text) {
    List<TokenLink> links = new ArrayList<>();
    float[] output = new float[1];
    for (int head = 0; head < sums.heads(); head++) {
      for (int query = 0; query < sums.rows(); query++) {
        int row = head * sums.rows() + query;
        int from = start + query;
        double logSumExp = sums.finish(head, query, output, 0);
        for (int rank = 0; rank < strongest.count(row); rank++) {
          int to = strongest.key(row, rank);
          float weight = (float) Math.exp(strongest.score(row, rank) - logSumExp);
          links.add(new TokenLink(0, head, from, text.token(from), to, text.token(to), weight));
        }
      }
    }
    return links;
  }

  private void writeObject(ObjectOutputStream out) throws IOException {
    out.defaultWriteObject();
    out.writeInt(sums.heads());
    out.writeInt(sums.rows());
    out.writeObject(sums.bin());
    out.writeObject(sums.hi());
    out.writeObject(sums.lo());
  }

  private void readObject(ObjectInputStream in) throws IOException, ClassNotFoundException {
    in.defaultReadObject();
    int heads = in.readInt();
    int rows = in.readInt();
    int[] bin = (int[]) in.readObject();
    double[] hi = (double[]) in.readObject();
    double[] lo = (double[]) in.readObject();
    sums = new AttentionState(heads, rows, 1, bin, hi, lo);
  }
}

package io.sparkattention.driver.model;

import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.kernels.VisibleKeys;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.Coverage;
import java.io.Serializable;
import java.util.Arrays;

/**
 * Attention of rows that one process holds, with the kernel and the states of the exchanges: the
 * same bits as over a cluster, where key blocks lie on the same grid.
 *
 * @param heads of queries, keys and values
 * @param mask over positions of one sequence, offset 0
 */
record LocalAttention(HeadLayout heads, AttentionMask mask) implements Serializable {

  /**
   * Packs queries, scaled by 1/√headDim.
   *
   * @param queries [rows, numHeads, headDim]
   */
  QueryBlock queries(float[] queries, int rows) {
    QueryBlock.Packer packer = new QueryBlock.Packer(heads, rows, 1 / Math.sqrt(heads.keyDim()));
    for (int row = 0; row < rows; row++) {
      for (int head = 0; head < heads.numHeads(); head++) {
        packer.put(head, row, queries, (row * heads.numHeads() + head) * heads.keyDim());
      }
    }
    return packer.pack();
  }

  /**
   * Packs the queries of a part of a block.
   *
   * @param queries [block's tokens, numHeads, headDim]
   */
  PlacedQueries queries(float[] queries, Block block, Block part) {
    int row = heads.numHeads() * heads.keyDim();
    int from = (int) (part.start() - block.start()) * row;
    float[] own = Arrays.copyOfRange(queries, from, from + part.tokens() * row);
    return new PlacedQueries(part, queries(own, part.tokens()));
  }

  /**
   * Packs keys and values.
   *
   * @param keys [rows, numKeyValueHeads, headDim]
   * @param values [rows, numKeyValueHeads, valueDim]
   */
  KeyValueBlock keyValues(float[] keys, float[] values, int rows) {
    KeyValueBlock.Packer packer = new KeyValueBlock.Packer(heads, rows);
    for (int row = 0; row < rows; row++) {
      for (int head = 0; head < heads.numKeyValueHeads(); head++) {
        int at = row * heads.numKeyValueHeads() + head;
        packer.putKey(head, row, keys, at * heads.keyDim());
        packer.putValue(head, row, values, at * heads.valueDim());
      }
    }
    return packer.pack();
  }

  /** The state of queries that have seen no key. */
  AttentionState emptyState(int rows) {
    return new AttentionState(heads.numHeads(), rows, heads.valueDim());
  }

  /**
   * Folds one key block into the state of the queries.
   *
   * @param at the queries' positions
   * @param keysAt the keys' positions
   */
  void fold(Block at, QueryBlock queries, Block keysAt, KeyValueBlock keys, AttentionState state) {
    Coverage coverage = mask.coverage(at, keysAt, 0);
    if (coverage != Coverage.EMPTY) {
      AttentionKernels.named("auto")
          .kernel()
          .fold(queries, keys, visible(coverage, at, keysAt), state);
    }
  }

  private VisibleKeys visible(Coverage coverage, Block at, Block keysAt) {
    if (coverage == Coverage.FULL) {
      return VisibleKeys.all();
    }
    int wordsPerRow = AttentionMask.wordsPerRow(keysAt);
    long[] words = new long[Math.multiplyExact(at.tokens(), wordsPerRow)];
    mask.visible(at, keysAt, 0, words);
    return VisibleKeys.ofBits(words, wordsPerRow);
  }

  /** Weighted values, [rows, numHeads, valueDim]. */
  float[] finish(AttentionState state) {
    float[] rows = new float[state.rows() * state.heads() * state.valueDim()];
    for (int row = 0; row < state.rows(); row++) {
      for (int head = 0; head < state.heads(); head++) {
        state.finish(head, row, rows, (row * state.heads() + head) * state.valueDim());
      }
    }
    return rows;
  }
}

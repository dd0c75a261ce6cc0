package io.sparkattention.kernels.benchmark;

import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.AttentionKernel;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.kernels.ScoreTransform;
import java.util.ArrayList;
import java.util.List;

/**
 * Our kernel on blocks of {@value #BLOCK_TOKENS} tokens that their owner packed before: for each
 * query block a new state, the fold of every key block that the mask touches, and the finished
 * rows.
 */
final class KernelContestant implements Contestant {
  static final int BLOCK_TOKENS = 2048;

  private final AttentionKernel kernel;
  private final AttentionCase c;
  private final Mask mask;
  private final ElementType type;
  private final int threads;
  private final ScoreTransform transform;
  private final List<QueryBlock> queries = new ArrayList<>();
  private final List<KeyValueBlock> keys = new ArrayList<>();

  /** [numHeads, queries, valueDim]. */
  private final float[] output;

  /** Float32 keys and values, on one thread. */
  KernelContestant(AttentionKernel kernel, AttentionCase c, Mask mask) {
    this(kernel, c, mask, ElementType.F32, 1);
  }

  KernelContestant(
      AttentionKernel kernel, AttentionCase c, Mask mask, ElementType type, int threads) {
    this(kernel, c, mask, type, threads, ScoreTransform.NONE);
  }

  /** The same transform for every pair of blocks. */
  KernelContestant(
      AttentionKernel kernel,
      AttentionCase c,
      Mask mask,
      ElementType type,
      int threads,
      ScoreTransform transform) {
    this.kernel = kernel;
    this.c = c;
    this.mask = mask;
    this.type = type;
    this.threads = threads;
    this.transform = transform;
    for (int start = 0; start < c.queries; start += BLOCK_TOKENS) {
      queries.add(c.queryBlock(start, Math.min(start + BLOCK_TOKENS, c.queries)));
    }
    for (int start = 0; start < c.keys; start += BLOCK_TOKENS) {
      keys.add(c.keyValueBlock(start, Math.min(start + BLOCK_TOKENS, c.keys), type));
    }
    this.output = new float[c.layout.numHeads() * c.queries * c.layout.valueDim()];
  }

  @Override
  public String name() {
    return "%s, %s, %d threads".formatted(kernel.name(), type, threads);
  }

  @Override
  public void run() {
    int queryStart = 0;
    for (QueryBlock block : queries) {
      AttentionState state =
          new AttentionState(c.layout.numHeads(), block.rows(), c.layout.valueDim());
      fold(block, queryStart, state);
      finish(state, queryStart);
      queryStart += block.rows();
    }
  }

  @Override
  public float[] output() {
    run();
    return output;
  }

  private void fold(QueryBlock block, int queryStart, AttentionState state) {
    int queryEnd = queryStart + block.rows();
    int start = 0;
    for (KeyValueBlock keyBlock : keys) {
      int end = start + keyBlock.keys();
      if (mask.touches(queryStart, queryEnd, start, end)) {
        kernel.fold(
            block,
            keyBlock,
            mask.visible(queryStart, queryEnd, start, end),
            transform,
            state,
            threads);
      }
      start = end;
    }
  }

  private void finish(AttentionState state, int queryStart) {
    for (int head = 0; head < state.heads(); head++) {
      for (int row = 0; row < state.rows(); row++) {
        int index = (head * c.queries + queryStart + row) * state.valueDim();
        state.finish(head, row, output, index);
      }
    }
  }
}

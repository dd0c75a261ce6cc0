package io.sparkattention.kernels;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Random;

/**
 * A small attention that a kernel computes again and again, with two ends: afterwards the second
 * compiler has compiled the kernel, and the trial knows whether it did so well. Where a vector
 * operation is not intrinsic (switched off, or compiled while its caller's profile was spoiled by
 * vectors of another width), each of its results is an object.
 *
 * @param name the kernel's
 * @param gflops best speed of a fold
 * @param allocated bytes allocated per 1000 multiply-adds, the least of any fold: 21 of scratch
 *     where all operations are intrinsic, some 150 where a loop's edge is not, 11,000 where none is
 */
record KernelTrial(String name, double gflops, double allocated) {
  /**
   * 80 = 64 + 16: both widths of value panels. With 1032 keys three inner cuts: one that all
   * queries see whole, one that most see in part, one of a single panel.
   */
  private static final HeadLayout LAYOUT = new HeadLayout(1, 1, 80, 80);

  private static final int KEYS = 1032;
  private static final int QUERIES = 66;

  /** The interpreter computes these in a few ms. */
  private static final int FEW_KEYS = 70;

  private static final int FEW_QUERIES = 7;
  private static final long SEED = 1;

  /** The next fold then runs at full speed where the compiler's threads get their share. */
  private static final int LEAST_ROUNDS = 60;

  /**
   * Where they do not, since other work keeps all cores busy, folds go on until the kernel is
   * compiled well. One that will not be would take minutes for the rounds. Of the thread's CPU
   * time, which the compiler's threads get as much of: by the clock, with six threads at work for
   * each core, one kernel of two was given up after 10 s that was compiled well a little later.
   */
  private static final double MOST_SECONDS = 10;

  private static final double MOST_ALLOCATED = 40;

  /** One round in so many meets values of other sizes. */
  private static final int UNEVEN_ROUNDS = 4;

  /** Folds until the kernel is compiled well, or for {@value #MOST_SECONDS} seconds of CPU. */
  static KernelTrial run(AttentionKernel kernel) {
    QueryBlock queries = queries(QUERIES);
    KeyValueBlock keys = keyValues(KEYS, 1);
    KeyValueBlock uneven = keyValues(KEYS, 0x1p-60f);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    double flops = 2 * 2.0 * QUERIES * KEYS * (LAYOUT.keyDim() + LAYOUT.valueDim());
    double allocated = Double.POSITIVE_INFINITY;
    double gflops = 0;
    long begin = threads.getCurrentThreadCpuTime();
    long end = begin;
    for (int round = 1; (end - begin) * 1e-9 < MOST_SECONDS; round++) {
      long bytes = threads.getCurrentThreadAllocatedBytes();
      long start = System.nanoTime();
      // A row's second leaf too, and bins that differ: a path that was never taken before would be
      // compiled anew in the middle of the first run.
      fold(kernel, queries, keys, round % UNEVEN_ROUNDS == 0 ? uneven : keys);
      gflops = Math.max(gflops, flops / (System.nanoTime() - start));
      bytes = threads.getCurrentThreadAllocatedBytes() - bytes;
      end = threads.getCurrentThreadCpuTime();
      allocated = Math.min(allocated, bytes / (flops / 2 / 1000));
      if (round >= LEAST_ROUNDS && allocated <= MOST_ALLOCATED) {
        break;
      }
    }
    return new KernelTrial(kernel.name(), gflops, allocated);
  }

  /** Whether two kernels compute the same bits, as all of them shall. */
  static boolean sameBits(AttentionKernel a, AttentionKernel b) {
    QueryBlock queries = queries(FEW_QUERIES);
    KeyValueBlock keys = keyValues(FEW_KEYS, 1);
    return Arrays.equals(finish(fold(a, queries, keys)), finish(fold(b, queries, keys)));
  }

  boolean isCompiledWell() {
    return allocated <= MOST_ALLOCATED;
  }

  /** Folds blocks of one length, one after another. */
  private static AttentionState fold(
      AttentionKernel kernel, QueryBlock queries, KeyValueBlock... blocks) {
    int keys = blocks[0].keys();
    AttentionState state = new AttentionState(1, queries.rows(), LAYOUT.valueDim());
    int[] from = new int[queries.rows()];
    int[] to = new int[queries.rows()];
    // Causal, so that masked strips are compiled too.
    Arrays.setAll(to, row -> keys - queries.rows() + row + 1);
    for (KeyValueBlock block : blocks) {
      kernel.fold(queries, block, VisibleKeys.ofIntervals(from, to), state);
    }
    return state;
  }

  private static float[] finish(AttentionState state) {
    float[] result = new float[state.rows() * (state.valueDim() + 1)];
    for (int row = 0; row < state.rows(); row++) {
      result[state.rows() * state.valueDim() + row] =
          state.finish(0, row, result, row * state.valueDim());
    }
    return result;
  }

  private static QueryBlock queries(int rows) {
    float[] queries = values(rows, LAYOUT.keyDim(), SEED);
    QueryBlock.Packer packer = new QueryBlock.Packer(LAYOUT, rows, 1 / Math.sqrt(LAYOUT.keyDim()));
    for (int row = 0; row < rows; row++) {
      packer.put(0, row, queries, row * LAYOUT.keyDim());
    }
    return packer.pack();
  }

  /**
   * @param small factor of the second value column; the first is zero where it is not 1
   */
  private static KeyValueBlock keyValues(int rows, float small) {
    float[] keys = values(rows, LAYOUT.keyDim(), SEED + 1);
    float[] values = values(rows, LAYOUT.valueDim(), SEED + 2);
    KeyValueBlock.Packer packer = new KeyValueBlock.Packer(LAYOUT, rows);
    for (int row = 0; row < rows; row++) {
      values[row * LAYOUT.valueDim()] *= small == 1 ? 1 : 0;
      values[row * LAYOUT.valueDim() + 1] *= small;
      packer.putKey(0, row, keys, row * LAYOUT.keyDim());
      packer.putValue(0, row, values, row * LAYOUT.valueDim());
    }
    return packer.pack();
  }

  private static float[] values(int rows, int columns, long seed) {
    Random random = new Random(seed);
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}

package io.sparkattention.kernels;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The float32 peak of the core that runs it: independent fused multiply-adds in registers and
 * nothing else. Efficiency is reported against this figure, measured in the same run.
 */
public final class FmaPeak {
  /** The kernel's: a second species in one JVM would spoil the profiles of both. */
  private static final VectorSpecies<Float> FLOATS = VectorAttentionKernel.FLOATS;

  /**
   * Steps of a round, some 250 µs: so few rounds per second that C2 does not compile the loop over
   * them, into which it would inline the round and then spill its accumulators (52 instead of 118
   * GFLOP/s on Zen 4).
   */
  private static final int STEPS = 1 << 16;

  /** Short rounds that the interpreter gets through until the round is compiled. */
  private static final int WARM_UP_ROUNDS = 256;

  private static final int WARM_UP_STEPS = 1 << 10;

  private static final int ACCUMULATORS = 12;

  /** CPU time after which a JVM is taken for one that never compiles the round well. */
  private static final double MOST_SECONDS = 10;

  /** Keeps the loop's result alive. */
  private static volatile float sink;

  private FmaPeak() {}

  /**
   * Measures for about {@code seconds} after a warm-up and returns the best round, in GFLOP/s (2
   * per multiply-add). Goes on where no round was compiled yet, as on busy cores: until then its
   * vectors are objects, and its speed no peak.
   */
  public static double measure(double seconds) {
    for (int i = 0; i < WARM_UP_ROUNDS; i++) {
      sink = round(WARM_UP_STEPS);
    }
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    double flopsPerRound = 2.0 * STEPS * ACCUMULATORS * FLOATS.length();
    long begin = System.nanoTime();
    long cpuBegin = threads.getCurrentThreadCpuTime();
    double best = 0;
    boolean compiled = false;
    do {
      long bytes = threads.getCurrentThreadAllocatedBytes();
      long start = System.nanoTime();
      sink = round(STEPS);
      best = Math.max(best, flopsPerRound / (System.nanoTime() - start));
      compiled |= threads.getCurrentThreadAllocatedBytes() - bytes < STEPS;
    } while ((System.nanoTime() - begin) * 1e-9 < seconds
        || (!compiled && (threads.getCurrentThreadCpuTime() - cpuBegin) * 1e-9 < MOST_SECONDS));
    return best;
  }

  private static float round(int steps) {
    FloatVector x = FloatVector.broadcast(FLOATS, 1.0000001f);
    FloatVector y = FloatVector.broadcast(FLOATS, 1e-9f);
    FloatVector a0 = FloatVector.broadcast(FLOATS, 0f);
    FloatVector a1 = FloatVector.broadcast(FLOATS, 1f);
    FloatVector a2 = FloatVector.broadcast(FLOATS, 2f);
    FloatVector a3 = FloatVector.broadcast(FLOATS, 3f);
    FloatVector a4 = FloatVector.broadcast(FLOATS, 4f);
    FloatVector a5 = FloatVector.broadcast(FLOATS, 5f);
    FloatVector a6 = FloatVector.broadcast(FLOATS, 6f);
    FloatVector a7 = FloatVector.broadcast(FLOATS, 7f);
    FloatVector a8 = FloatVector.broadcast(FLOATS, 8f);
    FloatVector a9 = FloatVector.broadcast(FLOATS, 9f);
    FloatVector b0 = FloatVector.broadcast(FLOATS, 10f);
    FloatVector b1 = FloatVector.broadcast(FLOATS, 11f);
    for (int i = 0; i < steps; i++) {
      a0 = x.fma(y, a0);
      a1 = x.fma(y, a1);
      a2 = x.fma(y, a2);
      a3 = x.fma(y, a3);
      a4 = x.fma(y, a4);
      a5 = x.fma(y, a5);
      a6 = x.fma(y, a6);
      a7 = x.fma(y, a7);
      a8 = x.fma(y, a8);
      a9 = x.fma(y, a9);
      b0 = x.fma(y, b0);
      b1 = x.fma(y, b1);
    }
    FloatVector sum = a0.add(a1).add(a2).add(a3).add(a4).add(a5);
    sum = sum.add(a6).add(a7).add(a8).add(a9).add(b0).add(b1);
    return sum.lane(0);
  }
}

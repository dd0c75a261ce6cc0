package io.sparkattention.kernels.benchmark;

import io.sparkattention.kernels.AttentionKernels;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The kernel alone under JMH, in forks of their own. Every iteration measures the multiply-add peak
 * and then one attention of 4096 tokens. JMH adds the two speeds up over the iterations: divided by
 * their number they are means in GFLOP/s, divided by each other the kernel's share of the peak.
 */
@Warmup(iterations = 20)
@Measurement(iterations = 15)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(3)
public class FoldBenchmark {
  private static final int TOKENS = 4096;
  private static final double PEAK_SECONDS = 0.05;

  /** One head of {@value #TOKENS} tokens, full mask. */
  @State(Scope.Thread)
  public static class Problem {
    @Param({"64", "128"})
    public int headDim;

    private Shape shape;
    private Contestant kernel;

    @Setup(Level.Trial)
    public void pack() {
      shape = Shape.of(TOKENS, headDim, Mask.FULL);
      kernel = new KernelContestant(AttentionKernels.auto().kernel(), shape.draw(), shape.mask());
    }
  }

  /** Speeds of an iteration: JMH clears counters in between, so the operation reports both. */
  @State(Scope.Thread)
  @AuxCounters(AuxCounters.Type.EVENTS)
  public static class Speed {
    public double peakGflops;
    public double gflops;

    private double peak;

    @Setup(Level.Iteration)
    public void measurePeak() {
      peak = AttentionKernels.measurePeak(PEAK_SECONDS, 1);
    }
  }

  @Benchmark
  public void fold(Problem problem, Speed speed) throws Exception {
    long start = System.nanoTime();
    problem.kernel.run();
    speed.gflops = problem.shape.flops() / (System.nanoTime() - start);
    speed.peakGflops = speed.peak;
  }
}

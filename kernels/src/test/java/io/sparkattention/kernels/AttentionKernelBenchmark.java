package io.sparkattention.kernels;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Random;
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
import org.openjdk.jmh.results.BenchmarkResult;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.Options;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.VerboseMode;

/**
 * Speed of one core against its multiply-add peak. Every iteration measures the peak and then one
 * operation, so that both see the same neighbours and the same clock; the report takes the median
 * of the operations and the median of the ratios.
 */
@Warmup(iterations = 40)
@Measurement(iterations = 25)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(
    value = 1,
    jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "-Xmx1g"})
public class AttentionKernelBenchmark {
  private static final int TOKENS = 4096;
  private static final int BLOCK = 2048;
  private static final double PEAK_SECONDS = 0.05;

  /** Leaves per operation of the state benchmarks: one leaf alone is too short to time. */
  private static final int LEAVES = 16;

  /** Measures the peak before each operation, which reports it: JMH clears counters in between. */
  @State(Scope.Thread)
  @AuxCounters(AuxCounters.Type.EVENTS)
  public static class Peak {
    public double gflops;

    private double measured;

    @Setup(Level.Iteration)
    public void measure() {
      measured = AttentionKernels.measurePeak(PEAK_SECONDS);
    }
  }

  /** One head of {@value #TOKENS} tokens in blocks of {@value #BLOCK}. */
  @State(Scope.Thread)
  public static class Problem {
    @Param({"64", "128"})
    public int headDim;

    @Param({"full", "causal"})
    public String mask;

    @Param({"vector"})
    public String kernel;

    private AttentionKernel attention;
    private HeadLayout layout;
    private final List<QueryBlock> queries = new ArrayList<>();
    private final List<KeyValueBlock> keys = new ArrayList<>();

    @Setup(Level.Trial)
    public void pack() {
      attention = AttentionKernels.named(kernel).kernel();
      layout = new HeadLayout(1, 1, headDim, headDim);
      AttentionCase c = new AttentionCase(layout, TOKENS, TOKENS, 1);
      for (int start = 0; start < TOKENS; start += BLOCK) {
        queries.add(c.queryBlock(start, start + BLOCK));
        keys.add(c.keyValueBlock(start, start + BLOCK));
      }
    }
  }

  /** Leaves of the size that normal queries, keys and values of headDim 64 give. */
  @State(Scope.Thread)
  public static class Leaves {
    @Param({"64", "128"})
    public int headDim;

    private float[] values;
    private float[] plain;
    private AttentionState state;

    @Setup(Level.Trial)
    public void draw() {
      values = AttentionCase.normal(new Random(2), BLOCK * headDim);
      for (int i = 0; i < values.length; i++) {
        values[i] *= 4;
      }
      plain = new float[BLOCK * headDim];
    }

    /** The first leaf of a state costs more and is rare: it is not part of the operation. */
    @Setup(Level.Iteration)
    public void addFirstLeaf() {
      state = new AttentionState(1, BLOCK, headDim);
      addLeaf(0);
    }

    private void addLeaf(int leaf) {
      for (int row = 0; row < BLOCK; row++) {
        state.addLeaf(0, row, 5 + (leaf + row) % 2, values, row * headDim, 100);
      }
    }
  }

  @Benchmark
  public AttentionState fold(Problem problem, Peak peak) {
    peak.gflops = peak.measured;
    AttentionState state = null;
    for (int q = 0; q < TOKENS / BLOCK; q++) {
      state = new AttentionState(1, BLOCK, problem.headDim);
      for (int k = 0; k < TOKENS / BLOCK; k++) {
        boolean causal = problem.mask.equals("causal");
        if (causal && k > q) {
          continue;
        }
        VisibleKeys visible = VisibleKeys.all(BLOCK, BLOCK);
        if (causal && k == q) {
          Arrays.setAll(visible.to(), row -> row + 1);
        }
        problem.attention.fold(problem.queries.get(q), problem.keys.get(k), visible, state);
      }
    }
    return state;
  }

  @Benchmark
  public AttentionState addLeaf(Leaves leaves, Peak peak) {
    peak.gflops = peak.measured;
    for (int leaf = 0; leaf < LEAVES; leaf++) {
      leaves.addLeaf(leaf);
    }
    return leaves.state;
  }

  /** What order-dependent code does instead: O = O·α + leaf in float32. */
  @Benchmark
  public float[] plainRescale(Leaves leaves, Peak peak) {
    peak.gflops = peak.measured;
    float[] output = leaves.plain;
    float[] values = leaves.values;
    for (int leaf = 0; leaf < LEAVES; leaf++) {
      for (int row = 0; row < BLOCK; row++) {
        rescaleRow(output, values, row * leaves.headDim, leaves.headDim, 0.5f);
      }
    }
    return output;
  }

  private static void rescaleRow(float[] output, float[] values, int offset, int count, float a) {
    for (int i = offset; i < offset + count; i++) {
      output[i] = output[i] * a + values[i];
    }
  }

  /**
   * Runs everything and writes the report.
   *
   * @param args the file to write
   */
  public static void main(String[] args) throws RunnerException, IOException {
    String self = AttentionKernelBenchmark.class.getSimpleName();
    List<RunResult> results = new ArrayList<>(new Runner(options().include(self).build()).run());
    // Some thirty times slower, so fewer of it.
    Options scalar =
        options()
            .include(self + ".fold")
            .param("kernel", "scalar")
            .param("headDim", "64")
            .warmupIterations(3)
            .measurementIterations(5)
            .build();
    results.addAll(new Runner(scalar).run());
    String report = report(results);
    System.out.print(report);
    Path file = Path.of(args[0]);
    Files.createDirectories(file.toAbsolutePath().getParent());
    Files.writeString(file, report);
  }

  private static ChainedOptionsBuilder options() {
    return new OptionsBuilder().verbosity(VerboseMode.SILENT).shouldFailOnError(true);
  }

  private static String report(Collection<RunResult> results) throws IOException {
    StringBuilder text = new StringBuilder();
    text.append(
        """
        AttentionKernelBenchmark: one thread, one head, %d tokens in blocks of %d
        CPU %s | JDK %s | kernel %s (auto) | %s

        Medians of 25 rounds (5 for the scalar kernel), each the multiply-add peak and then one operation.
        GFLOP/s = 2 · unmasked pairs · (keyDim + valueDim) / time. ns per output element
        and leaf = the fold of a leaf of a block of %d keys into the state.

        %-14s %7s %7s %8s %10s %10s %9s %9s
        """
            .formatted(
                TOKENS,
                BLOCK,
                cpu(),
                Runtime.version(),
                AttentionKernels.auto().kernel().name(),
                LocalDate.now(ZoneOffset.UTC),
                BLOCK,
                "operation",
                "headDim",
                "mask",
                "kernel",
                "GFLOP/s",
                "peak",
                "of peak",
                "ns/elem"));
    for (RunResult result : results) {
      text.append(line(result)).append('\n');
    }
    return text.toString();
  }

  private static String line(RunResult result) {
    String name = result.getParams().getBenchmark();
    name = name.substring(name.lastIndexOf('.') + 1);
    int headDim = Integer.parseInt(result.getParams().getParam("headDim"));
    List<Double> nanos = new ArrayList<>();
    List<Double> peaks = new ArrayList<>();
    for (BenchmarkResult fork : result.getBenchmarkResults()) {
      for (IterationResult iteration : fork.getIterationResults()) {
        nanos.add(iteration.getPrimaryResult().getScore());
        peaks.add(iteration.getSecondaryResults().get("gflops").getScore());
      }
    }
    double peak = median(peaks);
    if (!name.equals("fold")) {
      double perElement = median(nanos) / ((double) LEAVES * BLOCK * headDim);
      return format(name, headDim, "", "", "", number(peak), "", number(perElement));
    }
    String mask = result.getParams().getParam("mask");
    double pairs = mask.equals("full") ? (double) TOKENS * TOKENS : TOKENS * (TOKENS + 1) / 2.0;
    double flops = 2 * pairs * 2 * headDim;
    List<Double> shares = new ArrayList<>();
    for (int i = 0; i < nanos.size(); i++) {
      shares.add(flops / nanos.get(i) / peaks.get(i));
    }
    return format(
        name,
        headDim,
        mask,
        result.getParams().getParam("kernel"),
        number(flops / median(nanos)),
        number(peak),
        "%.0f %%".formatted(100 * median(shares)),
        "");
  }

  private static String format(
      String name,
      int headDim,
      String mask,
      String kernel,
      String gflops,
      String peak,
      String share,
      String perElement) {
    return "%-14s %7d %7s %8s %10s %10s %9s %9s"
        .formatted(name, headDim, mask, kernel, gflops, peak, share, perElement)
        .stripTrailing();
  }

  private static String number(double x) {
    return String.format(Locale.ROOT, x < 20 ? "%.2f" : "%.1f", x);
  }

  private static double median(List<Double> values) {
    double[] sorted = values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
    return sorted[sorted.length / 2];
  }

  /** The CPU's name where the system tells it. */
  private static String cpu() throws IOException {
    Path info = Path.of("/proc/cpuinfo");
    if (Files.isReadable(info)) {
      for (String line : Files.readAllLines(info, StandardCharsets.UTF_8)) {
        if (line.startsWith("model name")) {
          return line.substring(line.indexOf(':') + 1).strip();
        }
      }
    }
    return System.getProperty("os.arch");
  }
}

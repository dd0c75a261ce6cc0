package io.sparkattention.kernels.benchmark;

import static io.sparkattention.kernels.benchmark.TextTable.number;

import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.AttentionKernel;
import io.sparkattention.kernels.AttentionKernels;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** Our kernel on some shapes, one thread, against the core's peak, PyTorch and ONNX Runtime. */
final class ShapeTable {
  private final AttentionKernel kernel = AttentionKernels.auto().kernel();
  private final TextTable table =
      new TextTable(
          1,
          "mask",
          "n",
          "headDim",
          "heads",
          "GFLOP/s",
          "peak",
          "of peak",
          "PyTorch",
          "times",
          "min..max",
          "ONNX Rt",
          "times",
          "min..max",
          "difference");

  private final Report report;

  /** For each contestant, seconds counted and CPU seconds of the whole process meanwhile. */
  private final Map<String, double[]> times = new LinkedHashMap<>();

  ShapeTable(Report report) {
    this.report = report;
  }

  void measure(Shape shape, int rounds) {
    AttentionCase c = shape.draw();
    List<Contestant> contestants = new ArrayList<>();
    contestants.add(new KernelContestant(kernel, c, shape.mask()));
    Optional<Contestant> torch = TorchContestant.of(shape, c);
    Optional<Contestant> onnx = OnnxContestant.of(shape, c);
    torch.ifPresent(contestants::add);
    onnx.ifPresent(contestants::add);
    try {
      double difference = Agreement.check(c, contestants);
      Rounds measured = Interleaved.measure(contestants, rounds);
      addTimes(contestants, measured);
      addRow(
          shape,
          measured,
          torch.map(contestants::indexOf).orElse(-1),
          onnx.map(contestants::indexOf).orElse(-1),
          difference);
    } finally {
      contestants.forEach(Contestant::close);
    }
  }

  /** The indices of the peers are −1 where they have no such shape. */
  private void addRow(Shape shape, Rounds measured, int torch, int onnx, double difference) {
    double flops = shape.flops();
    int heads = shape.layout().numHeads();
    int keyValueHeads = shape.layout().numKeyValueHeads();
    List<String> cells = new ArrayList<>();
    cells.add(shape.mask().name());
    cells.add(Integer.toString(shape.queries()));
    cells.add(Integer.toString(shape.layout().keyDim()));
    cells.add(heads == keyValueHeads ? "" + heads : heads + ":" + keyValueHeads);
    cells.add(number(measured.gflops(0, flops), 1));
    cells.add(number(measured.peak(), 1));
    cells.add(number(100 * measured.peakShare(0, flops), 1) + " %");
    double[] ratios = {
      addPeer(cells, measured, torch, flops), addPeer(cells, measured, onnx, flops)
    };
    cells.add(torch + onnx < 0 ? TextTable.NONE : "%.1e".formatted(difference));
    table.row(cells);
    report.summarize(shape, 1, measured.gflops(0, flops), measured.peakShare(0, flops), ratios);
  }

  /** Adds a peer's three cells and returns how many times as fast we are. */
  private double addPeer(List<String> cells, Rounds measured, int peer, double flops) {
    if (peer < 0) {
      cells.addAll(List.of(TextTable.NONE, TextTable.NONE, TextTable.NONE));
      return Double.NaN;
    }
    double[] speedups = measured.speedups(0, peer);
    double min = Arrays.stream(speedups).min().orElseThrow();
    double max = Arrays.stream(speedups).max().orElseThrow();
    cells.add(number(measured.gflops(peer, flops), 1));
    cells.add(number(Rounds.median(speedups), 2));
    cells.add(number(min, 2) + ".." + number(max, 2));
    return Rounds.median(speedups);
  }

  private void addTimes(List<Contestant> contestants, Rounds measured) {
    for (int i = 0; i < contestants.size(); i++) {
      double[] sums = times.computeIfAbsent(contestants.get(i).name(), name -> new double[2]);
      sums[0] += measured.counted()[i];
      sums[1] += measured.process()[i];
    }
  }

  /** The rows so far, and how much work of other threads the counted CPU time leaves out. */
  @Override
  public String toString() {
    String shares =
        times.entrySet().stream()
            .map(e -> e.getKey() + " " + number(e.getValue()[1] / e.getValue()[0], 3))
            .collect(Collectors.joining(", "));
    return table + "CPU time of the whole process over that of the counted thread: " + shares;
  }
}

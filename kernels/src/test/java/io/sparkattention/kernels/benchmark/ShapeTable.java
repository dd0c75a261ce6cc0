package io.sparkattention.kernels.benchmark;

import static io.sparkattention.kernels.benchmark.TextTable.number;

import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.AttentionKernel;
import io.sparkattention.kernels.AttentionKernels;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

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

  /** Largest median of process over thread CPU time: ours, PyTorch, ONNX Runtime. */
  private final double[] processShares = new double[3];

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
      addPeer(cells, measured, torch, flops, 1), addPeer(cells, measured, onnx, flops, 2)
    };
    cells.add(torch + onnx < 0 ? TextTable.NONE : "%.1e".formatted(difference));
    table.row(cells);
    processShares[0] = Math.max(processShares[0], measured.processShare(0));
    report.summarize(shape, 1, measured.gflops(0, flops), measured.peakShare(0, flops), ratios);
  }

  /** Adds a peer's three cells and returns how many times as fast we are. */
  private double addPeer(List<String> cells, Rounds measured, int peer, double flops, int share) {
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
    processShares[share] = Math.max(processShares[share], measured.processShare(peer));
    return Rounds.median(speedups);
  }

  /** The rows so far, and how far the count of CPU time may have missed other threads' work. */
  @Override
  public String toString() {
    return table
        + "CPU time of the whole process over that of the counted thread, the largest median: "
        + "%s %.3f, %s %.3f, %s %.3f"
            .formatted(
                kernel.name(),
                processShares[0],
                TorchContestant.NAME,
                processShares[1],
                OnnxContestant.NAME,
                processShares[2]);
  }
}

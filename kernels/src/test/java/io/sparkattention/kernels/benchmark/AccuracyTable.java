package io.sparkattention.kernels.benchmark;

import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.Distribution;
import io.sparkattention.kernels.Errors;
import java.util.ArrayList;
import java.util.List;

/**
 * Errors of our kernel, PyTorch and ONNX Runtime against float64 on the same inputs: some query
 * rows against all keys, no mask.
 */
final class AccuracyTable {
  private static final int[] KEYS = {1024, 8192, 65_536};
  private static final int QUERIES = 64;
  private static final int HEAD_DIM = 64;
  private static final int FAR = 1 << 29;

  private final TextTable table;

  private AccuracyTable() {
    table =
        new TextTable(
            1,
            "inputs",
            "keys",
            "max |error|",
            "PyTorch",
            "ONNX Rt",
            "mean |error|",
            "PyTorch",
            "ONNX Rt",
            "mean |output|");
  }

  static TextTable measure() {
    AccuracyTable accuracy = new AccuracyTable();
    for (Distribution distribution : Distribution.values()) {
      for (int keys : KEYS) {
        accuracy.add(distribution, keys);
      }
    }
    return accuracy.table;
  }

  private void add(Distribution distribution, int keys) {
    AttentionCase c = distribution.draw(QUERIES, keys, HEAD_DIM);
    Shape shape = new Shape(c.layout, c.queries, c.keys, Mask.FULL);
    double[] expected = c.reference(0, FAR, FAR).output();
    List<Contestant> contestants =
        List.of(
            new KernelContestant(AttentionKernels.auto().kernel(), c, Mask.FULL),
            TorchContestant.of(shape, c).orElseThrow(),
            OnnxContestant.of(shape, c).orElseThrow());
    try {
      List<String> cells = new ArrayList<>(List.of(distribution.toString(), "" + keys));
      List<String> means = new ArrayList<>();
      for (Contestant contestant : contestants) {
        Errors errors = Errors.of(contestant.output(), expected);
        cells.add("%.1e".formatted(errors.max()));
        means.add("%.1e".formatted(errors.mean()));
      }
      cells.addAll(means);
      cells.add("%.1e".formatted(Errors.of(new float[expected.length], expected).mean()));
      table.row(cells);
    } finally {
      contestants.forEach(Contestant::close);
    }
  }
}

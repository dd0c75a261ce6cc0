package io.sparkattention.kernels.benchmark;

import static io.sparkattention.kernels.benchmark.TextTable.number;

import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.AttentionKernel;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.HeadLayout;
import java.util.List;

/**
 * One query against a long memory: every key and value is read once for few operations, so that
 * memory bandwidth is the roof. Several heads, so that no cache holds the memory.
 */
final class DecodeTable {
  private static final int KEYS = 65_536;

  /** Floats of a key row over all heads: keys and values are 128 MiB together. */
  private static final int ROW_FLOATS = 256;

  private final TextTable table =
      new TextTable(
          1, "who", "headDim", "heads", "keys", "GB/s", "read GB/s", "of bandwidth", "times");

  private DecodeTable() {}

  static TextTable measure(int[] headDims, int rounds) {
    DecodeTable decode = new DecodeTable();
    for (int headDim : headDims) {
      decode.measure(headDim, rounds);
    }
    return decode.table;
  }

  private void measure(int headDim, int rounds) {
    int heads = ROW_FLOATS / headDim;
    HeadLayout layout = new HeadLayout(heads, heads, headDim, headDim);
    Shape shape = new Shape(layout, 1, KEYS, Mask.FULL);
    AttentionCase c = shape.draw();
    AttentionKernel kernel = AttentionKernels.auto().kernel();
    List<Contestant> contestants =
        List.of(
            new KernelContestant(kernel, c, shape.mask()),
            TorchContestant.of(shape, c).orElseThrow(),
            OnnxContestant.of(shape, c).orElseThrow(),
            new ReadBandwidth());
    try {
      int read = contestants.size() - 1;
      Agreement.check(c, contestants.subList(0, read));
      Rounds measured = Interleaved.measure(contestants, rounds);
      double bytes = 2.0 * KEYS * ROW_FLOATS * Float.BYTES;
      double bandwidth = ReadBandwidth.bytes() * 1e-9 / measured.seconds(read);
      for (int i = 0; i < read; i++) {
        double share = Rounds.median(measured.speedups(i, read)) * bytes / ReadBandwidth.bytes();
        table.row(
            contestants.get(i).name(),
            Integer.toString(headDim),
            Integer.toString(heads),
            Integer.toString(KEYS),
            number(bytes * 1e-9 / measured.seconds(i), 2),
            number(bandwidth, 2),
            number(100 * share, 1) + " %",
            i == 0 ? "" : number(Rounds.median(measured.speedups(0, i)), 2));
      }
    } finally {
      contestants.forEach(Contestant::close);
    }
  }
}

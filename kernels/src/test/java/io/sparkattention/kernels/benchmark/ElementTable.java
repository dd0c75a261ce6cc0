package io.sparkattention.kernels.benchmark;

import static io.sparkattention.kernels.benchmark.TextTable.number;

import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import java.util.List;
import java.util.stream.Stream;

/** Keys and values in 16 bits against float32 ones, one thread: unpacking is all that differs. */
final class ElementTable {
  private ElementTable() {}

  static TextTable measure(int[] headDims, int rounds) {
    TextTable table =
        new TextTable(1, "mask", "queries", "keys", "headDim", "F32 GFLOP/s", "BF16 of it", "F16");
    for (int headDim : headDims) {
      HeadLayout layout = new HeadLayout(1, 1, headDim, headDim);
      for (Mask mask : List.of(Mask.FULL, Mask.CAUSAL)) {
        addRow(table, new Shape(layout, 4096, 4096, mask), rounds);
      }
      addRow(table, new Shape(layout, 128, 4096, Mask.FULL), rounds);
      addRow(table, new Shape(layout, 1, 65_536, Mask.FULL), rounds);
    }
    return table;
  }

  private static void addRow(TextTable table, Shape shape, int rounds) {
    AttentionCase c = shape.draw();
    List<Contestant> contestants =
        Stream.of(ElementType.F32, ElementType.BF16, ElementType.F16)
            .<Contestant>map(
                type ->
                    new KernelContestant(
                        AttentionKernels.auto().kernel(), c, shape.mask(), type, 1))
            .toList();
    Rounds measured = Interleaved.measure(contestants, rounds);
    table.row(
        shape.mask().name(),
        Integer.toString(shape.queries()),
        Integer.toString(shape.keys()),
        Integer.toString(shape.layout().keyDim()),
        number(measured.gflops(0, shape.flops()), 1),
        number(Rounds.median(measured.speedups(1, 0)), 3),
        number(Rounds.median(measured.speedups(2, 0)), 3));
  }
}

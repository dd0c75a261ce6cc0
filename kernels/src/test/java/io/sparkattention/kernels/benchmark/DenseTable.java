package io.sparkattention.kernels.benchmark;

import static io.sparkattention.kernels.benchmark.TextTable.number;

import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.DenseProduct;
import java.util.List;
import java.util.Random;

/** Dense layers of an encoder and of a decoder's single token, on one thread. */
final class DenseTable {
  private final TextTable table =
      new TextTable(0, "rows", "inputs", "outputs", "GFLOP/s", "of peak");

  private DenseTable() {}

  static TextTable measure(int rounds) {
    DenseTable dense = new DenseTable();
    dense.measure(512, 768, 3072, rounds);
    dense.measure(512, 3072, 768, rounds);
    dense.measure(512, 384, 1536, rounds);
    dense.measure(512, 384, 384, rounds);
    dense.measure(512, 768, 1000, rounds);
    dense.measure(128, 768, 3072, rounds);
    dense.measure(1, 768, 3072, rounds);
    return dense.table;
  }

  private void measure(int rows, int inputs, int outputs, int rounds) {
    Random random = new Random(1);
    float[] weight = values(random, inputs * outputs);
    float[] input = values(random, rows * inputs);
    DenseProduct product = new DenseProduct(weight, new float[outputs]);
    Contestant contestant =
        Contestant.of("dense", () -> product.apply(AttentionKernels.auto().kernel(), input, rows));
    Rounds measured = Interleaved.measure(List.of(contestant), rounds);
    double flops = 2.0 * rows * inputs * outputs;
    table.row(
        Integer.toString(rows),
        Integer.toString(inputs),
        Integer.toString(outputs),
        number(measured.gflops(0, flops), 1),
        number(100 * measured.peakShare(0, flops), 1) + " %");
  }

  private static float[] values(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}

package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DenseProductTest {
  private static final AttentionKernel VECTOR = AttentionKernels.named("vector").kernel();
  private static final AttentionKernel SCALAR = AttentionKernels.named("scalar").kernel();

  @ParameterizedTest(name = "seed {0}: {1} rows, {2} to {3}")
  @CsvSource({
    "1, 1, 4, 4",
    "2, 9, 7, 5",
    "3, 17, 1, 1",
    "4, 8, 384, 33",
    "5, 3, 6, 384",
    "6, 97, 513, 65",
    "7, 203, 64, 128",
    "8, 6, 1100, 80"
  })
  void isTheProductAndTheSameBitsByEachKernelAndForEachRowAlone(
      long seed, int rows, int in, int out) {
    Random random = new Random(seed);
    float[] weight = values(random, out * in);
    float[] bias = values(random, out);
    float[] input = values(random, rows * in);
    DenseProduct product = new DenseProduct(weight, bias);

    float[] output = product.apply(VECTOR, input, rows);

    assertThat(product.apply(SCALAR, input, rows)).isEqualTo(output);
    for (int row = 0; row < rows; row++) {
      for (int j = 0; j < out; j++) {
        double sum = bias[j];
        for (int i = 0; i < in; i++) {
          sum += (double) weight[j * in + i] * input[row * in + i];
        }
        // Each of at most 2 · in roundings is half a unit in the last place of a sum below in + 1.
        assertThat((double) output[row * out + j])
            .isCloseTo(sum, within(2.0 * in * (in + 1) * Math.ulp(0.5f)));
      }
      float[] alone = product.apply(VECTOR, Arrays.copyOfRange(input, row * in, (row + 1) * in), 1);
      assertThat(alone).isEqualTo(Arrays.copyOfRange(output, row * out, (row + 1) * out));
    }
  }

  @Test
  void rowsBesideDoNotSpoilARowEvenIfTheyAreNotFinite() {
    DenseProduct product = new DenseProduct(new float[] {1, 2}, new float[] {3});

    float[] output =
        product.apply(VECTOR, new float[] {1, 1, Float.NaN, Float.POSITIVE_INFINITY, 2, 2}, 3);

    assertThat(output[0]).isEqualTo(6);
    assertThat(output[1]).isNaN();
    assertThat(output[2]).isEqualTo(9);
  }

  @Test
  void refusesWhatIsNotRows() {
    DenseProduct product = new DenseProduct(new float[6], new float[2]);

    assertThatThrownBy(() -> product.apply(VECTOR, new float[5], 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid input: 5 values are not 2 rows of 3");
    assertThatThrownBy(() -> new DenseProduct(new float[5], new float[2]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid weights: 5 values are not rows of 2 outputs");
  }

  private static float[] values(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = 2 * random.nextFloat() - 1;
    }
    return values;
  }
}

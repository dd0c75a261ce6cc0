package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.driver.model.ModelWeights.Tensor;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DenseLayerTest {
  @ParameterizedTest(name = "seed {0}: {1} rows, {2} to {3}")
  @CsvSource({"1, 1, 4, 4", "2, 9, 7, 5", "3, 17, 1, 1", "4, 8, 384, 33", "5, 3, 6, 384"})
  void equalsAFloat64ProductAndDoesNotDependOnTheRowsBesideIt(
      long seed, int rows, int in, int out) {
    Random random = new Random(seed);
    float[] weight = values(random, out * in);
    float[] bias = values(random, out);
    float[] input = values(random, rows * in);
    ModelWeights weights =
        new ModelWeights(
            "test",
            Map.of(
                "d.weight", new Tensor(weight, new int[] {out, in}),
                "d.bias", new Tensor(bias, new int[] {out})),
            1);
    DenseLayer dense = DenseLayer.of(weights, "d");

    float[] output = dense.apply(input, rows);

    for (int row = 0; row < rows; row++) {
      for (int j = 0; j < out; j++) {
        double sum = bias[j];
        for (int i = 0; i < in; i++) {
          sum += (double) weight[j * in + i] * input[row * in + i];
        }
        // Each of the in roundings is at most half a unit in the last place of a sum below in + 1.
        assertThat((double) output[row * out + j])
            .isCloseTo(sum, within((double) in * (in + 1) * Math.ulp(0.5f)));
      }
      float[] alone = dense.apply(Arrays.copyOfRange(input, row * in, (row + 1) * in), 1);
      assertThat(alone).isEqualTo(Arrays.copyOfRange(output, row * out, (row + 1) * out));
    }
  }

  private static float[] values(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = 2 * random.nextFloat() - 1;
    }
    return values;
  }
}

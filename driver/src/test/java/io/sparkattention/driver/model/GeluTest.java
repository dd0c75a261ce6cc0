package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;

import org.apache.commons.math3.special.Erf;
import org.junit.jupiter.api.Test;

class GeluTest {
  @Test
  void errorFunctionIsWithinItsBound() {
    double worst = 0;
    for (int i = -60_000; i <= 60_000; i++) {
      double x = i / 10_000.0;
      worst = Math.max(worst, Math.abs(Gelu.erf((float) x) - Erf.erf((float) x)));
    }
    assertThat(worst).isLessThanOrEqualTo(4e-7);
  }

  @Test
  void publishedValues() {
    // x·Φ(x) with Φ from the standard normal table.
    float[] values = {-1, 0, 1, 2, 40, -40};
    Gelu.apply(values);
    assertThat(values)
        .containsExactly(
            new float[] {-0.15865526f, 0, 0.8413448f, 1.9544997f, 40, 0},
            org.assertj.core.data.Offset.offset(1e-7f));
  }
}

package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;

class Exp2Test {
  private static final long SEED = 31;

  /** The polynomial's error and that of its evaluation, see {@link Exp2}. */
  private static final double RELATIVE = 1.7e-7;

  @Test
  void weightsAreRightToTheirEndAndZeroBeyond() {
    Random random = new Random(SEED);
    for (int i = 0; i < 200_000; i++) {
      float unit = 1 + random.nextFloat() * Math.nextDown(1f);
      float u = 200 * random.nextFloat();
      double exact = Math.pow(2, -(double) u * unit);
      float found = Exp2.weight(u, unit);
      if ((double) u * unit < 126) {
        assertThat(found / exact - 1).as("seed %d, u %s", SEED, u).isBetween(-RELATIVE, RELATIVE);
      } else if ((double) u * unit > 126.51) {
        assertThat(Float.floatToRawIntBits(found)).as("seed %d, u %s", SEED, u).isZero();
      }
    }
    assertThat(Exp2.weight(0, 1.3f)).isEqualTo(1f);
    assertThat(Exp2.weight(-0f, 1.3f)).isEqualTo(1f);
    assertThat(Exp2.weight(Float.POSITIVE_INFINITY, 1.3f)).isEqualTo(0f);
  }

  @Test
  void fractionsAreRight() {
    for (double f = -0.5; f <= 0.5; f += 1e-4) {
      assertThat(Exp2.ofFraction(f) / Math.pow(2, f) - 1).isBetween(-3e-10, 3e-10);
    }
    assertThat(Exp2.ofFraction(0)).isEqualTo(1);
  }
}

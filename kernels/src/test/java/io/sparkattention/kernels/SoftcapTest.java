package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;

class SoftcapTest {
  private static final long SEED = 41;

  /** Roundings of u, E, E + 2, the product and the quotient, each 2^-24, and the polynomial. */
  private static final double RELATIVE = 5 * 0x1p-24;

  @Test
  void isRightFromTheSmallestScoresToTheLargest() {
    Random random = new Random(SEED);
    for (int i = 0; i < 500_000; i++) {
      float cap = (float) Math.scalb(1 + random.nextDouble(), random.nextInt(16) - 4);
      float s = (float) (cap * Math.scalb(random.nextDouble() - 0.5, 5 - random.nextInt(30)));
      double exact = cap * Math.tanh((double) s / cap);
      assertThat(Softcap.of(s, cap, Softcap.rate(cap)) - exact)
          .as("seed %d: %s under %s", SEED, s, cap)
          .isBetween(-RELATIVE * Math.abs(exact), RELATIVE * Math.abs(exact));
    }
  }

  @Test
  void keepsZeroAndItsSignAndEndsAtTheCap() {
    float rate = Softcap.rate(30);
    assertThat(Float.floatToRawIntBits(Softcap.of(0f, 30, rate))).isZero();
    assertThat(Float.floatToRawIntBits(Softcap.of(-0f, 30, rate)))
        .isEqualTo(Float.floatToRawIntBits(-0f));
    assertThat(Softcap.of(1e30f, 30, rate)).isEqualTo(30f);
    assertThat(Softcap.of(-1e4f, 30, rate)).isEqualTo(-30f);
  }
}

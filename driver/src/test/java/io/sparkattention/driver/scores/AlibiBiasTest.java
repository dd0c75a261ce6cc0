package io.sparkattention.driver.scores;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class AlibiBiasTest {
  /** Press et al. 2022, section 3: "for models with 8 heads 1/2¹, 1/2², …, 1/2⁸". */
  @Test
  void eightHeadsHaveTheSlopesOfThePaper() {
    assertThat(AlibiBias.publishedSlopes(8))
        .containsExactly(
            0.5f, 0.25f, 0.125f, 0.0625f, 0.03125f, 0.015625f, 0.0078125f, 0.00390625f);
  }

  /** Section 3: "for models that require 16 heads" a geometric mean lies between those of 8. */
  @Test
  void sixteenHeadsHaveThoseOfThePaper() {
    float[] slopes = AlibiBias.publishedSlopes(16);
    for (int head = 0; head < 16; head++) {
      assertThat(slopes[head]).isEqualTo((float) Math.sqrt(1.0 / (1L << (head + 1))));
    }
  }

  /**
   * The paper's code, {@code get_slopes(12)}: the 8 slopes of 8 heads, then of 16 heads the first,
   * third, fifth and seventh, 2^-0.5, 2^-1.5, 2^-2.5, 2^-3.5.
   */
  @Test
  void twelveHeadsHaveThoseOfThePapersCode() {
    assertThat(AlibiBias.publishedSlopes(12))
        .containsExactly(
            0.5f,
            0.25f,
            0.125f,
            0.0625f,
            0.03125f,
            0.015625f,
            0.0078125f,
            0.00390625f,
            0.7071067811865476f,
            0.3535533905932738f,
            0.1767766952966369f,
            0.0883883476483184f);
  }

  /** The code's recursion for 1, 2 and 3 heads: 2^-8; 2^-4, 2^-8; those and 2^-2. */
  @Test
  void fewHeads() {
    assertThat(AlibiBias.publishedSlopes(1)).containsExactly(0x1p-8f);
    assertThat(AlibiBias.publishedSlopes(2)).containsExactly(0x1p-4f, 0x1p-8f);
    assertThat(AlibiBias.publishedSlopes(3)).containsExactly(0x1p-4f, 0x1p-8f, 0x1p-2f);
  }

  @Test
  void fallsOnBothSidesOfTheQuery() {
    AlibiBias bias = new AlibiBias(new float[] {0.5f, 2});
    assertThat(bias.of(0, -6)).isEqualTo(-3);
    assertThat(bias.of(1, 6)).isEqualTo(-12);
    assertThat(bias.of(1, 10L, 4L)).isEqualTo(-12);
    assertThat(bias.of(0, 0)).isZero();
  }
}

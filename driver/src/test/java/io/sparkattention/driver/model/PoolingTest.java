package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class PoolingTest {
  /** Three tokens of two numbers, and one that is not to be looked at. */
  private static final float[] STATES = {3, -1, 6, -8, 0, -3, 100, 100};

  @Test
  void poolsTheTokensThatThereAre() {
    assertThat(Pooling.MEAN.pool(STATES, 3, 2)).containsExactly(3, -4);
    assertThat(Pooling.CLS.pool(STATES, 3, 2)).containsExactly(3, -1);
    assertThat(Pooling.MAX.pool(STATES, 3, 2)).containsExactly(6, -1);
  }

  @Test
  void normalizedVectorsHaveLengthOne() {
    assertThat(Pooling.normalized(new float[] {3, -4})).containsExactly(0.6f, -0.8f);
    assertThat(Pooling.normalized(new float[] {0, 0})).containsExactly(0, 0);
    assertThat(Pooling.normalized(new float[] {0x3p100f, -0x4p100f}))
        .as("squares beyond float32")
        .containsExactly(0.6f, -0.8f);
  }
}

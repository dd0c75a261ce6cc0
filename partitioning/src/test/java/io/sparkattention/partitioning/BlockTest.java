package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class BlockTest {

  @Test
  void countsItsPositions() {
    assertThat(new Block(0, 5, 8).tokens()).isEqualTo(3);
  }

  @Test
  void mayBeLongerThanAnInt() {
    Block sequence = new Block(0, 0, 1L << 40);
    assertThatThrownBy(sequence::tokens).isInstanceOf(ArithmeticException.class);
  }

  @Test
  void refusesWhatIsNoInterval() {
    assertThatThrownBy(() -> new Block(-1, 0, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid sequence: -1 (expected >= 0)");
    assertThatThrownBy(() -> new Block(2, 4, 4))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid block: [4, 4) of sequence 2 (expected 0 <= start < end <= 2^60)");
    assertThatThrownBy(() -> new Block(2, -1, 4)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Block(2, 0, Block.MAX_POSITION + 1))
        .isInstanceOf(IllegalArgumentException.class);
  }
}

package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CausalAlignmentTest {

  @Test
  void alignsACornerOfTheMatrix() {
    assertThat(CausalAlignment.TOP_LEFT.offset(3, 8)).isZero();
    assertThat(CausalAlignment.BOTTOM_RIGHT.offset(3, 8)).isEqualTo(5);
    assertThat(CausalAlignment.BOTTOM_RIGHT.offset(8, 3)).isEqualTo(-5);
  }

  @Test
  void bottomRightShowsAllKeysToTheLastQuery() {
    long offset = CausalAlignment.BOTTOM_RIGHT.offset(3, 8);
    AttentionMask causal = AttentionMask.causal();
    assertThat(causal.visiblePairs(new Block(0, 2, 3), new Block(0, 0, 8), offset)).isEqualTo(8);
    assertThat(causal.visiblePairs(new Block(0, 0, 1), new Block(0, 0, 8), offset)).isEqualTo(6);
  }

  @ParameterizedTest
  @EnumSource
  void readsWhatItPrints(CausalAlignment alignment) {
    assertThat(CausalAlignment.parse(alignment.toString())).isEqualTo(alignment);
    assertThat(CausalAlignment.BOTTOM_RIGHT).hasToString("bottom-right");
  }

  @Test
  void refusesOtherTexts() {
    assertThatThrownBy(() -> CausalAlignment.parse("TOP_LEFT"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid causal alignment: 'TOP_LEFT' (expected top-left or bottom-right)");
  }
}

package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import org.junit.jupiter.api.Test;

class PositionsTest {
  @Test
  void errorAllowsTheLimitAndNoMore() {
    assertThatCode(() -> Positions.ERROR.check(512, 512)).doesNotThrowAnyException();
    assertThatThrownBy(() -> Positions.ERROR.check(513, 512))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("513 tokens")
        .hasMessageContaining("512 positions")
        .hasMessageContaining("--positions wrap");
  }

  @Test
  void wrapStartsAgain() {
    Positions.WRAP.check(1_000_000_000_000L, 512);
    assertThat(Positions.WRAP.learnt(511, 512)).isEqualTo(511);
    assertThat(Positions.WRAP.learnt(512, 512)).isZero();
    assertThat(Positions.WRAP.learnt(512L * 8_000_000_000L + 5, 512)).isEqualTo(5);
  }

  @Test
  void names() {
    assertThat(Positions.parse("error")).isEqualTo(Positions.ERROR);
    assertThat(Positions.parse("wrap")).isEqualTo(Positions.WRAP);
    assertThatThrownBy(() -> Positions.parse("truncate"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("found truncate, expected error or wrap");
  }
}

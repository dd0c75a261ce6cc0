package io.sparkattention.driver.scores;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.kernels.Dropout;
import io.sparkattention.kernels.InvalidElementException;
import io.sparkattention.kernels.ScoreBias;
import io.sparkattention.partitioning.Block;
import java.util.List;
import org.junit.jupiter.api.Test;

class ScoresTest {
  private static final int HEADS = 3;
  private static final Block QUERIES = new Block(1, 5, 12);
  private static final Block KEYS = new Block(1, 40, 53);
  private static final long OFFSET = 30;

  private static Scores scores(double dropout, PositionBias... biases) {
    return Scores.of(new ScoreConfig(0, null, null, null, dropout, 7, List.of(biases)), HEADS);
  }

  private static float[] row(PositionBias bias, int head, int row) {
    ScoreBias ofPair = scores(0, bias).biases(QUERIES, KEYS, OFFSET).get(0);
    float[] whole = new float[KEYS.tokens()];
    ofPair.row(head, row, 0, KEYS.tokens(), whole);
    float[] part = new float[2];
    ofPair.row(head, row, KEYS.tokens() - 2, 2, part);
    assertThat(part).containsExactly(whole[KEYS.tokens() - 2], whole[KEYS.tokens() - 1]);
    return whole;
  }

  /** Distances from 40 − 41 to 52 − 35: all kinds of rows of the table. */
  @Test
  void aTableHoldsTheFunctionOfTheDistance() {
    RelativeBias relative = (head, distance) -> 1000 * head + distance;
    PositionBias same = (head, query, key) -> 1000 * head + key - query;
    for (int head = 0; head < HEADS; head++) {
      for (int row = 0; row < QUERIES.tokens(); row++) {
        float[] biases = row(relative, head, row);
        assertThat(biases).containsExactly(row(same, head, row));
        assertThat(biases[0]).isEqualTo(1000 * head + 40 - (5 + row + 30));
      }
    }
  }

  @Test
  void whatPeopleWriteForMinusInfinityIsMinusInfinity() {
    float[] given = {-0x1p20f, Math.nextDown(-0x1p20f), -1e9f, -Float.MAX_VALUE, 5};
    RelativeBias relative = (head, distance) -> given[Math.floorMod(distance, 5)];
    PositionBias position = (head, query, key) -> given[Math.floorMod(key, 5)];
    float none = Float.NEGATIVE_INFINITY;
    assertThat(row(position, 0, 3)).startsWith(-0x1p20f, none, none, none, 5);
    assertThat(row(relative, 0, 0)).startsWith(-0x1p20f, none, none, none, 5);
  }

  @Test
  void noNumberIsRefused() {
    RelativeBias relative = (head, distance) -> head == 2 && distance == 16 ? Float.NaN : 0;
    assertThatThrownBy(() -> row(relative, 0, 0))
        .isInstanceOf(InvalidElementException.class)
        .hasMessageContaining("Invalid bias in head 2, row 0: NaN");
    PositionBias position = (head, query, key) -> key == 52 ? Float.POSITIVE_INFINITY : 0;
    assertThatThrownBy(() -> row(position, 1, 6))
        .isInstanceOf(InvalidElementException.class)
        .hasMessageContaining("Invalid bias in head 1, row 6: Infinity");
  }

  @Test
  void dropoutKnowsPositionsInTheSequence() {
    assertThat(scores(0.5).dropout(QUERIES, KEYS)).isEqualTo(new Dropout(0.5, 7, 5, 40));
  }

  @Test
  void nothingSetIsNothingDone() {
    Scores plain = scores(0);
    assertThat(plain.softcap()).isZero();
    assertThat(plain.biases(QUERIES, KEYS, OFFSET)).isEmpty();
    assertThat(plain.dropoutProbability()).isZero();
    assertThat(plain.sink(HEADS - 1)).isEqualTo(Float.NEGATIVE_INFINITY);
    assertThat(plain.summary()).isEmpty();
  }
}

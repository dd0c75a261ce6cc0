package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.LocalSession;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Against the full map of weights, which a middle-sized text allows. */
class FirstLayerLinksTest {
  /**
   * Scores, of order 10, are float32 sums of 32 terms in another order, and the log-sum-exp is
   * rounded to float32: a weight is off by about 2^-24 · (10 · √32 + 10) ≈ 4e-6 at most.
   */
  private static final double TOLERANCE = 1e-5;

  private static final int LIMIT = 3;
  private static final long SEED = 20;

  @TempDir Path folder;

  /** Two blocks of 512 and a part of a third, more than the model has positions. */
  private static TokenizedText text() {
    String[] words =
        "the animal did not cross a street because it was tired of water and pasta".split(" ");
    Random random = new Random(SEED);
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 1030; i++) {
      text.append(words[random.nextInt(words.length)]).append(' ');
    }
    return TrainedModel.tokenize(text.toString());
  }

  @Test
  void equalsTheFullMapInRunsOfAnySize() {
    BertModel model = TrainedModel.model();
    TokenizedText text = text();
    FirstLayerLinks links = new FirstLayerLinks(model, text, Positions.WRAP, LIMIT);

    List<Row> one = rows(links, 1);
    List<Row> three = rows(links, 3);

    assertThat(three).as("seed %d", SEED).isEqualTo(one);
    int tokens = text.size();
    assertThat(one).hasSize(12 * tokens * LIMIT);
    float[][] full = fullMap(model, text);
    for (int i = 0; i < one.size(); i++) {
      int head = i / LIMIT / tokens;
      int from = i / LIMIT % tokens;
      Row row = one.get(i);
      int to = (int) row.<Long>getAs("to_position").longValue();
      float weight = row.<Float>getAs("weight");
      float expected = full[head][from * tokens + to];
      // Of near equals another may have been chosen.
      float ranked = sorted(full[head], from, tokens)[tokens - 1 - i % LIMIT];
      boolean right =
          Math.abs(weight - expected) <= TOLERANCE
              && Math.abs(weight - ranked) <= TOLERANCE
              && row.getString(3).equals(text.token(from))
              && row.getString(5).equals(text.token(to))
              && row.getInt(0) == 0
              && row.getInt(1) == head
              && row.getLong(2) == from;
      assertThat(right)
          .as("seed %d: %s, expected %s of head %d, rank %s", SEED, row, expected, head, ranked)
          .isTrue();
    }
  }

  private static float[] sorted(float[] weights, int from, int tokens) {
    float[] row = Arrays.copyOfRange(weights, from * tokens, (from + 1) * tokens);
    Arrays.sort(row);
    return row;
  }

  private List<Row> rows(FirstLayerLinks links, int runs) {
    SparkSession spark = LocalSession.get();
    String path = folder.resolve("runs-" + runs).toString();
    long count = links.write(spark, runs, path);
    List<Row> rows =
        spark
            .read()
            .parquet(path)
            .selectExpr("*", "-weight as falling")
            .orderBy("layer", "head", "from_position", "falling", "to_position")
            .collectAsList();
    assertThat(rows).hasSize(Math.toIntExact(count));
    assertThat(spark.sparkContext().getPersistentRDDs().size()).isZero();
    return rows;
  }

  /** Per head [tokens, tokens]. */
  private static float[][] fullMap(BertModel model, TokenizedText text) {
    int hidden = model.config().hidden();
    float[] states = new float[text.size() * hidden];
    for (int position = 0; position < text.size(); position++) {
      int learnt = Positions.WRAP.learnt(position, model.config().positions());
      model.embed(text.ids()[position], learnt, states, position * hidden);
    }
    return new BertEncoder(model).attend(model.layer(0), states, text.size()).probabilities();
  }

  @Test
  void runsAreWholeBlocksAndNotTooLong() {
    assertThat(FirstLayerLinks.ranges(1, 8)).hasSize(1);
    assertThat(FirstLayerLinks.ranges(513, 8)).hasSize(2);
    List<TokenProjection.Range> ranges = FirstLayerLinks.ranges(100_000, 2);
    assertThat(ranges).hasSize(7);
    int start = 0;
    for (TokenProjection.Range range : ranges) {
      assertThat(range.start).isEqualTo(start);
      assertThat(range.start % 512).isZero();
      start = range.end;
    }
    assertThat(start).isEqualTo(100_000);
  }

  @Test
  void refusesPositionsThatTheModelDoesNotHave() {
    TokenizedText text = text();
    BertModel model = TrainedModel.model();
    assertThatThrownBy(() -> new FirstLayerLinks(model, text, Positions.ERROR, LIMIT))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("--positions wrap");
  }

  @Test
  void strongestKeysDoNotDependOnTheOrder() {
    Random random = new Random(SEED);
    for (int trial = 0; trial < 50; trial++) {
      int[] keys = random.ints(0, 1 << 20).distinct().limit(40).toArray();
      StrongestKeys all = new StrongestKeys(1, LIMIT);
      StrongestKeys left = new StrongestKeys(1, LIMIT);
      StrongestKeys right = new StrongestKeys(1, LIMIT);
      for (int key : keys) {
        // Few different scores: ties are frequent.
        all.offer(0, key, key % 4);
      }
      for (int i = keys.length - 1; i >= 0; i--) {
        (i % 3 == 0 ? left : right).offer(0, keys[i], keys[i] % 4);
      }
      left.merge(right);
      assertThat(left.count(0)).isEqualTo(LIMIT);
      for (int rank = 0; rank < LIMIT; rank++) {
        assertThat(left.key(0, rank)).as("seed %d", SEED).isEqualTo(all.key(0, rank));
        assertThat(left.score(0, rank)).isEqualTo(all.score(0, rank));
      }
    }
  }
}

package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.LocalSession;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class PassageRankingTest {
  private static final List<String> PASSAGES =
      List.of(
          "The cat sleeps on the warm sofa all day.",
          "Interest rates were raised by the central bank.",
          "Water boils at one hundred degrees at sea level.",
          "The treaty was signed in Paris in the spring.",
          "A dog barked at the postman in the morning.");
  private static final List<String> QUESTIONS =
      List.of("Where does the cat sleep?", "What did the bank do?");
  private static final StructType SCHEMA =
      new StructType().add("passage_id", DataTypes.StringType).add("text", DataTypes.StringType);

  private final SparkSession spark = LocalSession.get();

  @AfterEach
  void nothingIsKept() {
    assertThat(spark.sparkContext().getPersistentRDDs().size()).isZero();
  }

  private Dataset<Row> table(List<String> texts, int partitions) {
    List<Row> rows = new ArrayList<>();
    for (String text : texts) {
      rows.add(RowFactory.create("p" + rows.size(), text));
    }
    return spark.createDataFrame(rows, SCHEMA).repartition(partitions);
  }

  private List<Row> rank(OptionalInt layer, int partitions) {
    Dataset<Row> ranked =
        new PassageRanking(TrainedModel.folder(), layer)
            .rank(spark, QUESTIONS, table(PASSAGES, partitions));
    try {
      return ranked.orderBy("question", "passage_id").collectAsList();
    } finally {
      ranked.unpersist();
    }
  }

  @Test
  void massesAreThoseOfOneSoftmaxOverAllPassages() {
    BertModel model = TrainedModel.model();
    int layer = 2;
    List<Row> rows = rank(OptionalInt.of(layer), 2);
    for (int question = 0; question < QUESTIONS.size(); question++) {
      double[] expected = masses(model, layer, QUESTIONS.get(question));
      double sum = 0;
      for (int passage = 0; passage < PASSAGES.size(); passage++) {
        double mass = rows.get(question * PASSAGES.size() + passage).getAs("attention_mass");
        // Scores of some tens in float32 are off by some 1e-6, and so is the exponent.
        assertThat(mass).isCloseTo(expected[passage], within(1e-5));
        sum += mass;
      }
      assertThat(sum).isCloseTo(1, within(1e-5));
    }
  }

  /** The definition in float64, every score written out. */
  private static double[] masses(BertModel model, int layer, String question) {
    float[] queries = vectors(model, layer, question, true);
    int width = model.config().hidden();
    int headDim = model.config().headDim();
    int rows = queries.length / width;
    List<float[]> keysOf =
        PASSAGES.stream().map(passage -> vectors(model, layer, passage, false)).toList();
    double[] masses = new double[PASSAGES.size()];
    for (int row = 0; row < rows; row++) {
      for (int head = 0; head < model.config().numHeads(); head++) {
        double[] sums = new double[PASSAGES.size()];
        double all = 0;
        for (int passage = 0; passage < sums.length; passage++) {
          float[] keys = keysOf.get(passage);
          for (int key = 0; key < keys.length; key += width) {
            double dot = 0;
            for (int d = head * headDim; d < (head + 1) * headDim; d++) {
              dot += (double) queries[row * width + d] * keys[key + d];
            }
            sums[passage] += Math.exp(dot / Math.sqrt(headDim));
          }
          all += sums[passage];
        }
        for (int passage = 0; passage < sums.length; passage++) {
          masses[passage] += sums[passage] / all / rows / model.config().numHeads();
        }
      }
    }
    return masses;
  }

  /** Of the text's own tokens: queries or keys of a layer whose input another encoder computed. */
  private static float[] vectors(BertModel model, int layer, String text, boolean asQueries) {
    int[] ids = TrainedModel.ids(text);
    int width = model.config().hidden();
    float[] input = new BertEncoder(model.withLayers(layer)).encode(ids).lastHiddenState();
    BertLayer used = model.layer(layer);
    float[] all = (asQueries ? used.query() : used.key()).apply(input, ids.length);
    return java.util.Arrays.copyOfRange(all, width, (ids.length - 1) * width);
  }

  @Test
  void theLastStatesFindThePassageAndPartitionsDoNotTouchTheBits() {
    List<Row> rows = rank(OptionalInt.empty(), 1);
    assertThat(rows.get(0).<Integer>getAs("cosine_rank")).isEqualTo(1);
    assertThat(rows.get(PASSAGES.size() + 1).<Integer>getAs("cosine_rank")).isEqualTo(1);
    assertThat(rank(OptionalInt.empty(), 3)).isEqualTo(rows);
  }

  @Test
  void refusesWhatCannotBeRanked() {
    PassageRanking ranking = new PassageRanking(TrainedModel.folder(), OptionalInt.empty());
    assertThatThrownBy(() -> ranking.rank(spark, List.of(), table(PASSAGES, 1)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage("Cannot rank: found no question, expected at least one");
    assertThatThrownBy(() -> ranking.rank(spark, QUESTIONS, table(List.of(), 1)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage("Cannot rank: found no passage, expected at least one");
    assertThatThrownBy(() -> ranking.rank(spark, QUESTIONS, table(List.of("a", " "), 1)))
        .hasStackTraceContaining("Cannot rank passage 'p1': found no tokens in its text");
    assertThatThrownBy(() -> ranking.rank(spark, QUESTIONS, table(List.of("a ".repeat(600)), 1)))
        .hasStackTraceContaining("Cannot rank passage 'p0': found 602 tokens, expected at most");
    assertThatThrownBy(
            () ->
                ranking.rank(
                    spark, QUESTIONS, table(List.of("a"), 1).union(table(List.of("b"), 1))))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("found passage_id 'p0' 2 times");
    assertThatThrownBy(() -> new PassageRanking(TrainedModel.folder(), OptionalInt.of(6)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage("Invalid layer: found 6, expected 0 to 5 of the model's layers");
  }
}

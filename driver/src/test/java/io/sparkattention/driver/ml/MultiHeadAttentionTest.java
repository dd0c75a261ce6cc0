package io.sparkattention.driver.ml;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.when;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.LocalSession;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.ml.Pipeline;
import org.apache.spark.ml.PipelineModel;
import org.apache.spark.ml.PipelineStage;
import org.apache.spark.ml.feature.PCA;
import org.apache.spark.ml.feature.VectorAssembler;
import org.apache.spark.ml.linalg.SQLDataTypes;
import org.apache.spark.ml.param.Param;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.RDDBlockId;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MultiHeadAttentionTest {
  @AfterAll
  static void releaseStorage() {
    LocalSession.releaseStorage();
  }

  /**
   * |score| ≤ 8/√8, of 8 products that are rounded: 1.7e-6 off; a weight is off by twice that, and
   * values are at most 1. Rounding of the sums is below the rest.
   */
  private static final double TOLERANCE = 5e-6;

  private static final TokenTable TABLE = TokenTable.random(91, 4, 2, 8, 70, 33, 1);

  /** What {@link #attention} makes of the table's arrays, in the order of positions. */
  private static List<float[]> expected;

  private final SparkSession spark = LocalSession.get();

  @BeforeAll
  static void attend() {
    expected =
        TokenTable.sorted(attention().transform(TABLE.arrays(LocalSession.get())), "attention");
  }

  private static MultiHeadAttention attention() {
    return new MultiHeadAttention()
        .setNumHeads(4)
        .setNumKeyValueHeads(2)
        .setMask("causal")
        .setBlockTokens(16);
  }

  private static void assertSameBits(List<float[]> actual, List<float[]> expected) {
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < actual.size(); i++) {
      assertThat(actual.get(i)).as("row " + i).isEqualTo(expected.get(i));
    }
  }

  @Test
  void appendsTheFormula() {
    Dataset<Row> result = attention().setLogSumExpCol("lse").transform(TABLE.arrays(spark));

    assertThat(result.columns())
        .containsExactly(
            "sequence_id", "position", "word", "query", "key", "value", "attention", "lse");
    assertThat(result.where("word = concat(sequence_id, position)").count()).isEqualTo(104);
    List<float[]> outputs = TokenTable.sorted(result, "attention");
    List<TokenTable.Token> tokens = new ArrayList<>(TABLE.tokens());
    tokens.sort(
        Comparator.comparing(TokenTable.Token::sequence).thenComparing(TokenTable.Token::position));
    for (int row = 0; row < outputs.size(); row++) {
      double[] expected = TABLE.causal(tokens.get(row));
      for (int i = 0; i < expected.length; i++) {
        assertThat((double) outputs.get(row)[i])
            .isBetween(expected[i] - TOLERANCE, expected[i] + TOLERANCE);
      }
    }
    assertThat(TokenTable.sorted(result, "lse").get(0)).hasSize(4);
  }

  @Test
  void vectorsGiveTheBitsOfArrays() {
    Dataset<Row> result = attention().transform(TABLE.vectors(spark));

    assertThat(result.schema().apply("attention").dataType()).isEqualTo(SQLDataTypes.VectorType());
    assertSameBits(TokenTable.sorted(result, "attention"), expected);
  }

  @Test
  void oneColumnMayServeAsQueriesKeysAndValuesUnderAnyName() {
    Dataset<Row> rows =
        TABLE
            .arrays(spark)
            .select(
                when(col("sequence_id").equalTo("a"), 7).otherwise(lit(8)).as("doc.id"),
                col("position").cast("int").as("at"),
                col("query").as("hidden.state"))
            .where("`doc.id` = 7");
    MultiHeadAttention stage =
        new MultiHeadAttention()
            .setNumHeads(4)
            .setSequenceCol("doc.id")
            .setPositionCol("at")
            .setQueryCol("hidden.state")
            .setKeyCol("hidden.state")
            .setValueCol("hidden.state")
            .setOutputCol("context");

    Dataset<Row> result = stage.transform(rows);

    assertThat(result.columns()).containsExactly("doc.id", "at", "hidden.state", "context");
    assertThat(result.schema().apply("doc.id").dataType().simpleString()).isEqualTo("int");
    assertThat(result.count()).isEqualTo(70);
  }

  @ParameterizedTest
  @ValueSource(strings = {"ring", "reduce", "barrier", "heads", "broadcast"})
  void lostRowsAreComputedAgain(String exchange) {
    Set<Integer> before = stored();

    Dataset<Row> result =
        attention().setExchange(exchange).setShards(2).transform(TABLE.arrays(spark));

    assertSameBits(TokenTable.sorted(result, "attention"), expected);
    Set<Integer> kept = stored();
    kept.removeAll(before);
    assertThat(kept).as("the rows alone stay in storage").hasSize(1);
    JavaSparkContext.fromSparkContext(spark.sparkContext())
        .getPersistentRDDs()
        .get(kept.iterator().next())
        .unpersist(true);
    assertSameBits(TokenTable.sorted(result, "attention"), expected);
  }

  private Set<Integer> stored() {
    return new HashSet<>(
        JavaSparkContext.fromSparkContext(spark.sparkContext()).getPersistentRDDs().keySet());
  }

  @Test
  void storageIsReleasedWhenTheResultIsForgotten() {
    Set<Integer> before = stored();
    // Not kept in a variable.
    assertThat(attention().transform(TABLE.arrays(spark)).count()).isEqualTo(104);
    Set<Integer> kept = stored();
    kept.removeAll(before);

    await()
        .atMost(Duration.ofSeconds(60))
        .until(
            () -> {
              System.gc();
              return kept.stream().noneMatch(MultiHeadAttentionTest::hasBlocks);
            });
  }

  private static boolean hasBlocks(int rdd) {
    return SparkEnv.get().blockManager().getStatus(new RDDBlockId(rdd, 0)).isDefined()
        || SparkEnv.get().blockManager().getStatus(new RDDBlockId(rdd, 1)).isDefined();
  }

  @Test
  void savedAndLoadedItGivesTheSameBits(@TempDir Path folder) throws IOException {
    String path = folder.resolve("stage").toString();
    MultiHeadAttention stage = attention().setScale(0.25).setSoftcap(3).setAlibi("auto");
    stage.save(path);

    MultiHeadAttention loaded = MultiHeadAttention.load(path);

    assertThat(loaded.uid()).isEqualTo(stage.uid());
    assertThat(loaded.extractParamMap().size()).isEqualTo(stage.extractParamMap().size());
    assertSameBits(
        TokenTable.sorted(loaded.transform(TABLE.arrays(spark)), "attention"),
        TokenTable.sorted(stage.transform(TABLE.arrays(spark)), "attention"));
  }

  @Test
  void composesInPipelinesThatAreSavedAndLoaded(@TempDir Path folder) throws IOException {
    Dataset<Row> rows = TABLE.vectors(spark);
    Pipeline pipeline =
        new Pipeline()
            .setStages(
                new PipelineStage[] {
                  attention(),
                  new PCA().setK(3).setInputCol("attention").setOutputCol("small"),
                  new VectorAssembler()
                      .setInputCols(new String[] {"small", "query"})
                      .setOutputCol("features")
                });
    pipeline.save(folder.resolve("pipeline").toString());
    PipelineModel model = Pipeline.load(folder.resolve("pipeline").toString()).fit(rows);
    model.save(folder.resolve("model").toString());

    PipelineModel loaded = PipelineModel.load(folder.resolve("model").toString());

    List<float[]> features = TokenTable.sorted(loaded.transform(rows), "features");
    assertThat(features.get(0)).hasSize(3 + 4 * 8);
    assertSameBits(features, TokenTable.sorted(model.transform(rows), "features"));
    assertThat(loaded.stages()[0]).isInstanceOf(MultiHeadAttention.class);
  }

  @Test
  void aCopyTakesOverParamsAndExtraOnes() {
    MultiHeadAttention stage = attention();
    MultiHeadAttention copy = stage.copy(new ParamMap().put(stage.mask(), "full"));

    assertThat(copy.uid()).isEqualTo(stage.uid());
    assertThat(copy.getOrDefault(copy.mask())).isEqualTo("full");
    assertThat(copy.getOrDefault(copy.numHeads())).isEqualTo(4);
    assertThat(stage.getOrDefault(stage.mask())).isEqualTo("causal");
  }

  @Test
  void eachParamIsDocumented() {
    String text = attention().explainParams();

    assertThat(Arrays.stream(attention().params()).map(Param::name))
        .contains("numHeads", "numKeyValueHeads", "mask", "exchange", "shards", "blockTokens")
        .contains("queryCol", "keyCol", "valueCol", "sequenceCol", "positionCol", "outputCol")
        .contains("logSumExpCol", "scale", "softcap", "alibi", "assignment")
        .allSatisfy(name -> assertThat(text).containsPattern("(?m)^" + name + ": .{20,}"));
  }

  @Test
  void valuesAreCheckedWhenTheyAreSet() {
    MultiHeadAttention stage = new MultiHeadAttention();
    assertThatThrownBy(() -> stage.setNumHeads(0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid numHeads: found '0', expected a whole number from 1 to 65536");
    assertThatThrownBy(() -> stage.setMask("casual"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("Invalid mask: found 'casual'");
    assertThatThrownBy(() -> stage.setExchange("rings"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("found 'rings', expected auto, ring");
    assertThatThrownBy(() -> stage.setScale(Double.NaN))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("Invalid scale: found 'NaN'");
    assertThatThrownBy(() -> stage.setQueryCol(" "))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid queryCol: found ' ', expected the name of a column");
  }

  @Test
  void wrongSchemasAreRefusedByColumn() {
    Dataset<Row> rows = TABLE.arrays(spark);
    MultiHeadAttention stage = attention();
    assertThatThrownBy(() -> stage.transformSchema(rows.drop("key").schema()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Missing column 'key', the keyCol of %s: found sequence_id, position, word, query, value, expected a column of array<float> or vector; add it or set keyCol to another"
                .formatted(stage.uid()));
    assertThatThrownBy(
            () -> stage.transform(rows.withColumn("value", col("value").cast("array<double>"))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("'value'")
        .hasMessageContaining("found type array<double>, expected array<float> or vector; cast it");
    assertThatThrownBy(
            () -> stage.transform(rows.withColumn("position", col("position").cast("double"))))
        .hasMessageContaining("'position'")
        .hasMessageContaining("found type double, expected bigint or int");
    assertThatThrownBy(() -> stage.transform(rows.withColumn("attention", lit(1))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("Cannot append column 'attention'");
  }

  @Test
  void wrongRowsAreRefused() {
    Dataset<Row> rows = TABLE.arrays(spark);
    assertThatThrownBy(() -> new MultiHeadAttention().transform(rows))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("Missing numHeads");
    assertThatThrownBy(
            () ->
                attention()
                    .setNumHeads(5)
                    .setQueryCol("hidden")
                    .transform(rows.withColumnRenamed("query", "hidden")))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("Invalid column 'hidden'")
        .hasMessageContaining("found arrays of 32 floats, expected a multiple of numHeads 5");
    assertThatThrownBy(() -> attention().transform(rows.where("position <> 3")))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("found 69 rows at positions 0 to 69");
    Dataset<Row> vectors = TABLE.vectors(spark);
    assertThatThrownBy(
            () ->
                attention()
                    .transform(
                        vectors.withColumn("key", when(col("position").notEqual(50), col("key")))))
        .hasStackTraceContaining("Invalid key in sequence 'a', position 50: found null");
  }

  @Test
  void worksFromSparkSql() {
    TABLE.arrays(spark).createOrReplaceTempView("tokens");
    attention()
        .setOutputCol("context")
        .transform(spark.sql("SELECT * FROM tokens WHERE sequence_id <> 'b'"))
        .createOrReplaceTempView("attended");

    List<Row> rows =
        spark
            .sql(
                "SELECT sequence_id, count(*), max(size(context)) FROM attended GROUP BY sequence_id ORDER BY 1")
            .collectAsList();

    assertThat(rows).extracting(Row::toString).containsExactly("[a,70,32]", "[c,1,32]");
    spark.catalog().dropTempView("tokens");
    spark.catalog().dropTempView("attended");
  }
}

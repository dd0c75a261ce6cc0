package io.sparkattention.driver.ml;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.LocalSession;
import io.sparkattention.driver.model.LocalEncoder;
import io.sparkattention.driver.model.Pooling;
import io.sparkattention.driver.model.TrainedModel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.ml.Pipeline;
import org.apache.spark.ml.PipelineModel;
import org.apache.spark.ml.PipelineStage;
import org.apache.spark.ml.feature.PCA;
import org.apache.spark.ml.linalg.SQLDataTypes;
import org.apache.spark.ml.linalg.Vector;
import org.apache.spark.ml.param.Param;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TransformerEncoderTest {
  private static final List<String> TEXTS =
      List.of("Dog bites man", "In the beginning God created the heaven and the earth.", "");

  private static final int HIDDEN = 384;

  private final SparkSession spark = LocalSession.get();

  private static TransformerEncoder encoder() {
    return new TransformerEncoder().setModelDir(TrainedModel.folder().toString());
  }

  /** Columns id and text. */
  private Dataset<Row> texts(List<String> texts) {
    StructType schema =
        new StructType().add("id", DataTypes.IntegerType).add("text", DataTypes.StringType);
    List<Row> rows =
        texts.stream().map(text -> RowFactory.create(texts.indexOf(text), text)).toList();
    return spark.createDataFrame(rows, schema);
  }

  private static float[] states(String text) {
    return new LocalEncoder(TrainedModel.model()).encode(TrainedModel.ids(text));
  }

  private static List<Row> sorted(Dataset<Row> rows) {
    return rows.orderBy("id").collectAsList();
  }

  private static float[] floats(Row row, String column) {
    double[] numbers = ((Vector) row.getAs(column)).toArray();
    float[] floats = new float[numbers.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) numbers[i];
    }
    return floats;
  }

  @Test
  void poolsTheStatesOfTheModel() {
    Dataset<Row> result = encoder().setNormalize(true).transform(texts(TEXTS));

    assertThat(result.columns()).containsExactly("id", "text", "embedding");
    assertThat(result.schema().apply("embedding").dataType()).isEqualTo(SQLDataTypes.VectorType());
    for (Row row : sorted(result)) {
      assertThat(floats(row, "embedding"))
          .isEqualTo(Pooling.normalized(pooled(Pooling.MEAN, row.getString(1))));
    }
  }

  private static float[] pooled(Pooling pooling, String text) {
    float[] states = states(text);
    return pooling.pool(states, states.length / HIDDEN, HIDDEN);
  }

  @Test
  void withoutPoolingEachTokenHasAnArrayThatSparkSqlCanTake() {
    encoder().setPooling("none").transform(texts(TEXTS)).createOrReplaceTempView("encoded");

    List<Row> rows =
        spark.sql("SELECT id, size(embedding), embedding FROM encoded ORDER BY id").collectAsList();

    assertThat(rows).extracting(row -> row.getInt(1)).containsExactly(5, 13, 2);
    Row row = rows.get(0);
    List<scala.collection.Seq<Float>> tokens = row.getList(2);
    float[] expected = states(TEXTS.get(0));
    assertThat(tokens).hasSize(5);
    for (int token = 0; token < 5; token++) {
      for (int i = 0; i < HIDDEN; i++) {
        assertThat(tokens.get(token).apply(i)).isEqualTo(expected[token * HIDDEN + i]);
      }
    }
    spark.catalog().dropTempView("encoded");
  }

  @Test
  void tokenIdsGiveTheBitsOfTheirText() {
    StructType schema =
        new StructType()
            .add("id", DataTypes.IntegerType)
            .add("ids", DataTypes.createArrayType(DataTypes.IntegerType));
    List<Row> rows = List.of(RowFactory.create(0, TrainedModel.ids(TEXTS.get(0))));

    Row fromIds =
        sorted(encoder().setInputCol("ids").transform(spark.createDataFrame(rows, schema))).get(0);

    assertThat(floats(fromIds, "embedding")).isEqualTo(pooled(Pooling.MEAN, TEXTS.get(0)));
  }

  @Test
  void savedAndLoadedAloneAndInPipelinesItGivesTheSameBits(@TempDir Path folder)
      throws IOException {
    TransformerEncoder stage = encoder().setPooling("max").setOutputCol("e");
    stage.save(folder.resolve("stage").toString());
    Pipeline pipeline =
        new Pipeline()
            .setStages(
                new PipelineStage[] {
                  TransformerEncoder.load(folder.resolve("stage").toString()),
                  new PCA().setK(2).setInputCol("e").setOutputCol("small")
                });
    pipeline.save(folder.resolve("pipeline").toString());
    Dataset<Row> rows = texts(TEXTS);
    PipelineModel model = Pipeline.load(folder.resolve("pipeline").toString()).fit(rows);
    model.save(folder.resolve("model").toString());

    List<Row> loaded =
        sorted(PipelineModel.load(folder.resolve("model").toString()).transform(rows));

    assertThat(loaded).isEqualTo(sorted(model.transform(rows)));
    assertThat(floats(loaded.get(1), "e")).isEqualTo(pooled(Pooling.MAX, TEXTS.get(1)));
  }

  @Test
  void aCopyTakesOverParamsAndExtraOnes() {
    TransformerEncoder stage = encoder().setPooling("cls");
    TransformerEncoder copy = stage.copy(new ParamMap().put(stage.outputCol(), "other"));

    assertThat(copy.uid()).isEqualTo(stage.uid());
    assertThat(copy.getOrDefault(copy.pooling())).isEqualTo("cls");
    assertThat(copy.getOrDefault(copy.outputCol())).isEqualTo("other");
    assertThat(stage.getOrDefault(stage.outputCol())).isEqualTo("embedding");
  }

  @Test
  void eachParamIsDocumented() {
    String text = encoder().explainParams();

    assertThat(Arrays.stream(encoder().params()).map(Param::name))
        .containsExactly("inputCol", "modelDir", "normalize", "outputCol", "pooling")
        .allSatisfy(name -> assertThat(text).containsPattern("(?m)^" + name + ": .{20,}"));
  }

  @Test
  void wrongParamsAndSchemasAreRefused() {
    StructType schema = texts(TEXTS).schema();
    assertThatThrownBy(() -> encoder().setPooling("sum"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid pooling: found 'sum', expected one of none, mean, cls, max");
    assertThatThrownBy(() -> encoder().setModelDir(""))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("Invalid modelDir: found ''");
    assertThatThrownBy(() -> new TransformerEncoder().transformSchema(schema))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("Missing modelDir");
    assertThatThrownBy(() -> encoder().setInputCol("txt").transformSchema(schema))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("Missing column 'txt'")
        .hasMessageContaining("found id, text");
    assertThatThrownBy(() -> encoder().setInputCol("id").transformSchema(schema))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("found type int, expected string or array<int>");
    assertThatThrownBy(() -> encoder().setOutputCol("id").transformSchema(schema))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("Cannot append column 'id'");
    assertThatThrownBy(() -> encoder().setModelDir("/no/such").transform(texts(TEXTS)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("/no/such");
  }

  @Test
  void wrongRowsAreRefused() {
    assertThatThrownBy(() -> encoder().transform(texts(List.of("word ".repeat(511)))).collect())
        .hasStackTraceContaining(
            "column 'text': found 513 tokens ('word word word word word word word word …'), expected at most 512");
    assertThatThrownBy(() -> encoder().transform(texts(Arrays.asList("a", null))).collect())
        .hasStackTraceContaining("Cannot encode column 'text': found null");
  }
}

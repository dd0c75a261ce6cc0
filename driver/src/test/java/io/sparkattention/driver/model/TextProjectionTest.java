package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.LocalSession;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.serializer.JavaSerializer;
import org.apache.spark.serializer.KryoSerializer;
import org.apache.spark.serializer.Serializer;
import org.apache.spark.serializer.SerializerInstance;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import scala.reflect.ClassTag;

class TextProjectionTest {
  /** Sums of 384 terms in another order, below 16 on the way: 2^-24 · √384 · 16 ≈ 1.9e-5. */
  private static final float TOLERANCE = 1.9e-5f;

  private static final String TEXT =
      "The animal didn't cross the street because it was tired.\nNaïve 日本 – tokenization! ";

  private static SparkSession spark;

  @TempDir Path folder;

  @BeforeAll
  static void start() {
    spark = LocalSession.get();
  }

  private Path text(String content) throws IOException {
    return Files.writeString(folder.resolve("some text.txt"), content);
  }

  private long run(Path text, Positions policy, boolean overwrite) {
    return TextProjection.run(
        spark, text.toString(), TrainedModel.folder().toString(), policy, output(), overwrite);
  }

  private String output() {
    return folder.resolve("out").toString();
  }

  @Test
  void rowsEqualOnnxRuntime() throws IOException {
    TokenizedText text = TrainedModel.tokenize(TEXT);
    Map<String, float[]> expected = TrainedModel.oracle().run(text.ids());

    long tokens = run(text(TEXT), Positions.ERROR, false);

    assertThat(tokens).isEqualTo(text.size());
    Dataset<Row> table = spark.read().parquet(output()).orderBy("position");
    assertThat(table.schema().simpleString())
        .isEqualTo(
            "struct<sequence_id:string,position:bigint,token_id:int,token:string,"
                + "query:array<float>,key:array<float>,value:array<float>>");
    List<Row> rows = table.collectAsList();
    assertThat(rows).hasSize(text.size());
    for (int i = 0; i < rows.size(); i++) {
      Row row = rows.get(i);
      assertThat(row.<String>getAs("sequence_id")).isEqualTo("some text.txt");
      assertThat(row.<Long>getAs("position")).isEqualTo(i);
      assertThat(row.<Integer>getAs("token_id")).isEqualTo(text.ids()[i]);
      assertThat(row.<String>getAs("token")).isEqualTo(text.token(i));
      for (String kind : List.of("query", "key", "value")) {
        float[] of = expected.get("layer.0." + kind);
        assertThat(floats(row, kind))
            .containsExactly(
                Arrays.copyOfRange(of, i * 384, (i + 1) * 384),
                org.assertj.core.data.Offset.offset(TOLERANCE));
      }
    }
  }

  private static float[] floats(Row row, String column) {
    List<Float> boxed = row.getList(row.fieldIndex(column));
    float[] floats = new float[boxed.size()];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = boxed.get(i);
    }
    return floats;
  }

  @Test
  void columnsKnowTheirNumberOfHeads() throws IOException {
    run(text(TEXT), Positions.ERROR, false);

    for (String column : List.of("query", "key", "value")) {
      assertThat(
              spark
                  .read()
                  .parquet(output())
                  .schema()
                  .apply(column)
                  .metadata()
                  .getLong(TextProjection.NUM_HEADS))
          .isEqualTo(12);
    }
  }

  @Test
  void longTextsNeedTheWrapPolicy() throws IOException {
    Path text = text(TEXT.repeat(40));

    assertThatThrownBy(() -> run(text, Positions.ERROR, false))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("512 positions")
        .hasMessageContaining("--positions wrap");
    assertNothingLeft();

    long tokens = run(text, Positions.WRAP, false);

    assertThat(tokens).isEqualTo(802);
    assertThat(spark.read().parquet(output()).count()).isEqualTo(tokens);
  }

  @ParameterizedTest(name = "{0} ranges")
  @CsvSource({"1", "2", "7", "1000", "5000"})
  void theSameBitsHoweverTheTokensAreDealt(int ranges) {
    TokenizedText text = TrainedModel.tokenize(TEXT.repeat(40));
    TokenProjection projection =
        new TokenProjection(TrainedModel.model(), Positions.WRAP, "t", text);
    List<ProjectedToken> whole = projected(projection, text.size(), 1);

    List<ProjectedToken> parts = projected(projection, text.size(), ranges);

    assertThat(parts).hasSize(text.size());
    for (int i = 0; i < parts.size(); i++) {
      assertThat(parts.get(i).getPosition()).isEqualTo(i);
      assertThat(parts.get(i).getQuery()).isEqualTo(whole.get(i).getQuery());
      assertThat(parts.get(i).getKey()).isEqualTo(whole.get(i).getKey());
      assertThat(parts.get(i).getValue()).isEqualTo(whole.get(i).getValue());
    }
  }

  @ParameterizedTest
  @ValueSource(classes = {JavaSerializer.class, KryoSerializer.class})
  void travelsThroughEitherOfSparksSerializers(Class<? extends Serializer> type)
      throws ReflectiveOperationException {
    TokenizedText text = TrainedModel.tokenize(TEXT);
    TokenProjection projection =
        new TokenProjection(TrainedModel.model(), Positions.ERROR, "t", text);
    SerializerInstance serializer =
        type.getConstructor(SparkConf.class).newInstance(new SparkConf()).newInstance();
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    ClassTag<TokenProjection> tag = ClassTag.apply(TokenProjection.class);

    serializer.serializeStream(bytes).writeObject(projection, tag).close();
    TokenProjection received =
        serializer.deserializeStream(new ByteArrayInputStream(bytes.toByteArray())).readObject(tag);

    // Embeddings and one layer of float32, not all six.
    assertThat(bytes.size()).isBetween(50_000_000, 60_000_000);
    List<ProjectedToken> rows = projected(received, text.size(), 2);
    List<ProjectedToken> expected = projected(projection, text.size(), 2);
    for (int i = 0; i < text.size(); i++) {
      assertThat(rows.get(i).getToken()).isEqualTo(text.token(i));
      assertThat(rows.get(i).getValue()).isEqualTo(expected.get(i).getValue());
    }
  }

  private static List<ProjectedToken> projected(TokenProjection projection, int tokens, int count) {
    List<ProjectedToken> rows = new ArrayList<>();
    for (TokenProjection.Range range : TokenProjection.Range.of(tokens, count)) {
      projection.project(range).forEachRemaining(rows::add);
    }
    return rows;
  }

  @Test
  void anExistingOutputNeedsOverwrite() throws IOException {
    Path text = text(TEXT);
    run(text, Positions.ERROR, false);

    assertThatThrownBy(() -> run(text, Positions.ERROR, false))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("--overwrite");

    long tokens = run(text("Something else."), Positions.ERROR, true);
    assertThat(tokens).isEqualTo(5);
    assertThat(spark.read().parquet(output()).count()).isEqualTo(5);
  }

  @Test
  void refusesTextsThatAreMissingEmptyOrMalformed() throws IOException {
    assertRefused(folder.resolve("absent.txt"), "no such file");
    assertRefused(folder, "found a folder");
    assertRefused(text(""), "found no text");
    assertRefused(text(" \n\t"), "found no text");
    Path latin = folder.resolve("latin.txt");
    Files.write(latin, "na\u00efve".getBytes(StandardCharsets.ISO_8859_1));
    assertRefused(latin, "malformed UTF-8 at byte 2");
    Path half = folder.resolve("half.txt");
    Files.write(half, new byte[] {'a', (byte) 0xe6, (byte) 0x97});
    assertRefused(half, "malformed UTF-8 at byte 1");
    assertNothingLeft();
  }

  private void assertRefused(Path text, String message) {
    assertThatThrownBy(() -> run(text, Positions.ERROR, false))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(message);
  }

  private void assertNothingLeft() throws IOException {
    try (var files = Files.list(folder)) {
      assertThat(files).noneMatch(file -> file.getFileName().toString().startsWith("out"));
    }
  }
}

package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.DistributedAttention;
import io.sparkattention.driver.LocalSession;
import io.sparkattention.driver.io.ParquetInput;
import io.sparkattention.driver.io.ParquetOutput;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Text to projected rows to distributed attention: up to the model's 512 positions the result is
 * what ONNX Runtime computes inside that model.
 */
class LayerZeroAttentionTest {
  /** The projections' 1.9e-5 averaged over the attended tokens, weights summing to 1. */
  private static final float TOLERANCE = 1e-5f;

  private static final String SENTENCE =
      "The animal didn't cross the street because it was tired. ";

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(ints = {1, 12, 30})
  void equalsOnnxRuntimeInsideTheModel(int repetitions) throws IOException {
    Path text = Files.writeString(folder.resolve("text.txt"), SENTENCE.repeat(repetitions));
    String projected = folder.resolve("projected").toString();
    String attended = folder.resolve("attended").toString();
    SparkSession spark = LocalSession.get();
    TextProjection.run(
        spark,
        text.toString(),
        TrainedModel.folder().toString(),
        Positions.ERROR,
        projected,
        false);
    AttentionConfig config =
        AttentionConfig.resolve(
            Map.of(Key.NUM_HEADS, "12", Key.SHARDS, "3", Key.BLOCK_TOKENS, "64"),
            spark.sparkContext().conf());
    ParquetInput input = ParquetInput.open(spark, projected, config);
    ParquetOutput output = new ParquetOutput(spark, attended, false, input.sequenceIdType());
    new DistributedAttention(spark).run(input, config, output);

    int[] ids = TrainedModel.ids(SENTENCE.repeat(repetitions));
    float[] expected = TrainedModel.oracle().run(ids).get("layer.0.context");
    List<Row> rows = spark.read().parquet(attended).orderBy("position").collectAsList();
    assertThat(rows).hasSize(ids.length);
    for (int position = 0; position < ids.length; position++) {
      List<Float> found = rows.get(position).getList(2);
      for (int c = 0; c < found.size(); c++) {
        assertThat(found.get(c))
            .as("position %d, column %d", position, c)
            .isCloseTo(
                expected[position * found.size() + c],
                org.assertj.core.api.Assertions.within(TOLERANCE));
      }
    }
  }
}

package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.LocalSession;
import io.sparkattention.driver.model.DistributedEncoder.Document;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** A trained encoder against ONNX Runtime, whichever way a document goes. */
class DistributedEncoderTest {
  /** What the project promises: rounding of sums of up to 1536 terms, six layers deep. */
  private static final float TOLERANCE = 2e-5f;

  private static final long SEED = 20_261_125;
  private static SparkSession spark;

  @BeforeAll
  static void open() {
    spark = LocalSession.get();
  }

  @AfterEach
  void nothingIsKept() {
    assertThat(spark.sparkContext().getPersistentRDDs().size()).isZero();
  }

  /** [documents][tokens · hidden], each token exactly once. */
  private static float[][] encode(
      List<Document> documents, int blockTokens, Overflow overflow, String exchange) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.BLOCK_TOKENS, Integer.toString(blockTokens));
    options.put(Key.SHARDS, "3");
    options.put(Key.EXCHANGE, exchange);
    AttentionConfig config = AttentionConfig.resolve(options, spark.sparkContext().conf());
    BertModel model = TrainedModel.model();
    int hidden = model.config().hidden();
    float[][] states = new float[documents.size()][];
    try (DistributedEncoder encoder = new DistributedEncoder(spark, model, config, overflow)) {
      int[] tokens = new int[documents.size()];
      for (EncodedPiece piece : encoder.encode(documents).collect()) {
        int[] ids = documents.get(piece.document()).ids();
        int first = (int) piece.first();
        assertThat(piece.ids())
            .isEqualTo(Arrays.copyOfRange(ids, first, first + piece.ids().length));
        float[] all = states[piece.document()];
        all = all == null ? new float[ids.length * hidden] : all;
        System.arraycopy(piece.states(), 0, all, first * hidden, piece.states().length);
        states[piece.document()] = all;
        tokens[piece.document()] += piece.ids().length;
      }
      assertThat(tokens)
          .isEqualTo(documents.stream().mapToInt(document -> document.ids().length).toArray());
    }
    return states;
  }

  private static Document random(String name, int tokens) {
    int vocabulary = TrainedModel.model().config().vocabulary();
    return new Document(name, new Random(SEED).ints(tokens, 1000, vocabulary).toArray());
  }

  private static List<Document> passages() throws IOException {
    String text = Files.readString(Path.of("..", "LICENSE"));
    List<Document> passages = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      int start = i * 450;
      passages.add(
          new Document(
              "passage " + i, TrainedModel.ids(text.substring(start, start + 100 + 95 * i))));
    }
    return passages;
  }

  private static float worst(float[] actual, float[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    float worst = 0;
    for (int i = 0; i < actual.length; i++) {
      worst = Math.max(worst, Math.abs(actual[i] - expected[i]));
    }
    return worst;
  }

  @Test
  void wholeAndSplitDocumentsEqualOnnxRuntime() throws IOException {
    List<Document> passages = passages();
    float[][] states = encode(passages, 2048, Overflow.ERROR, "auto");
    for (int i = 0; i < states.length; i++) {
      float[] expected = TrainedModel.oracle().run(passages.get(i).ids()).get("last_hidden_state");
      assertThat(worst(states[i], expected))
          .as(passages.get(i).name())
          .isLessThanOrEqualTo(TOLERANCE);
    }
    // Some documents stay whole, others are split: one call has both.
    List<Document> some = List.of(passages.get(0), passages.get(9), passages.get(19));
    assertThat(some.get(2).ids().length).isGreaterThan(256);
    float[][] split = encode(some, 128, Overflow.ERROR, "ring");
    for (int i = 0; i < split.length; i++) {
      float[] expected = TrainedModel.oracle().run(some.get(i).ids()).get("last_hidden_state");
      assertThat(worst(split[i], expected)).as(some.get(i).name()).isLessThanOrEqualTo(TOLERANCE);
    }
  }

  /** A window is encoded by one task over the same grid of blocks as the split document. */
  @Test
  void aTaskAndTheClusterComputeTheSameBits() {
    Document document = random("full length", 512);
    Document longer = new Document("longer", Arrays.copyOf(document.ids(), 513));
    float[] split = encode(List.of(document), 100, Overflow.ERROR, "ring")[0];
    float[] reduced = encode(List.of(document), 100, Overflow.ERROR, "reduce")[0];
    assertThat(reduced).as("seed %d", SEED).isEqualTo(split);
    float[] windows = encode(List.of(longer), 100, Overflow.WINDOW, "auto")[0];
    int own = 256 * TrainedModel.model().config().hidden();
    assertThat(Arrays.copyOf(windows, own))
        .as("seed %d", SEED)
        .isEqualTo(Arrays.copyOf(split, own));
  }

  @Test
  void extendedPositionsStartAgain() {
    Document document = random("long", 700);
    float[] split = encode(List.of(document), 256, Overflow.EXTEND, "ring")[0];
    float[] whole = encode(List.of(document), 1024, Overflow.EXTEND, "auto")[0];
    assertThat(worst(split, whole)).as("seed %d", SEED).isLessThanOrEqualTo(TOLERANCE);
  }

  @Test
  void refusesWhatItCannotEncode() {
    assertThatThrownBy(() -> encode(List.of(random("a.txt", 513)), 2048, Overflow.ERROR, "auto"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith(
            "Cannot encode 'a.txt': found 513 tokens, expected at most the model's 512 positions");
    assertThatThrownBy(
            () -> encode(List.of(new Document("b", new int[0])), 2048, Overflow.ERROR, "auto"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("'b': found no tokens");
  }
}

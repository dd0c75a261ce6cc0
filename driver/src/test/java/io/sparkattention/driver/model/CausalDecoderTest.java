package io.sparkattention.driver.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.LocalSession;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.Random;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A small trained Llama decoder: the golden tokens, however the sequence is cut and spread. */
class CausalDecoderTest {
  private static final String STORIES = "stories260K";
  private static final long SEED = 20_261_125;
  private static SparkSession spark;
  private static LlamaModel model;

  @BeforeAll
  static void load() {
    model = LlamaModel.load(SharedModel.folder(STORIES));
    spark = LocalSession.get();
  }

  @AfterEach
  void nothingIsKept() {
    assertThat(spark.sparkContext().getPersistentRDDs().size()).isZero();
  }

  private static CausalDecoder decoder(int blockTokens, int shards, String exchange) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, "causal");
    options.put(Key.BLOCK_TOKENS, Integer.toString(blockTokens));
    options.put(Key.SHARDS, Integer.toString(shards));
    options.put(Key.EXCHANGE, exchange);
    return new CausalDecoder(
        spark, model, AttentionConfig.resolve(options, spark.sparkContext().conf()));
  }

  private static int[] golden() {
    return SharedModel.integers(SharedModel.golden(STORIES).path("greedy_tokens"));
  }

  @Test
  void theGoldenTokens() {
    int[] golden = golden();
    try (CausalDecoder decoder = decoder(2048, 2, "auto")) {
      int[] continuation =
          decoder.generate(new int[] {golden[0]}, golden.length - 1, TokenSampling.GREEDY);
      assertThat(continuation).isEqualTo(Arrays.copyOfRange(golden, 1, golden.length));
    }
  }

  /** Most of the golden tokens as a prompt that goes through the cluster, the rest decoded. */
  @ParameterizedTest
  @CsvSource({"1, ring", "2, reduce", "5, ring"})
  void theGoldenTokensAfterAPrompt(int shards, String exchange) {
    int[] golden = golden();
    int given = golden.length - 9;
    try (CausalDecoder decoder = decoder(16, shards, exchange)) {
      int[] continuation = decoder.generate(Arrays.copyOf(golden, given), 9, TokenSampling.GREEDY);
      assertThat(continuation).isEqualTo(Arrays.copyOfRange(golden, given, golden.length));
    }
  }

  /** Tokens in one call, in several, and one by one: whole blocks, parts of them, sealed ones. */
  @Test
  void howTheSequenceIsCutDoesNotTouchTheBits() {
    int[] ids = new Random(SEED).ints(75, 3, model.config().vocabulary()).toArray();
    float[] whole = logits(ids, 3, ids.length);
    assertThat(logits(ids, 2, 5, 64, 6)).as("seed %d", SEED).isEqualTo(whole);
    assertThat(logits(ids, 2, 16, 32, 27)).as("seed %d", SEED).isEqualTo(whole);
    int[] ones = new int[ids.length];
    Arrays.fill(ones, 1);
    assertThat(logits(ids, 1, ones)).as("seed %d", SEED).isEqualTo(whole);
  }

  private static float[] logits(int[] ids, int shards, int... parts) {
    try (CausalDecoder decoder = decoder(16, shards, "ring")) {
      float[] logits = null;
      int done = 0;
      for (int part : parts) {
        logits = decoder.append(Arrays.copyOfRange(ids, done, done + part));
        done += part;
      }
      assertThat(decoder.tokens()).isEqualTo(ids.length);
      return logits;
    }
  }

  @Test
  void refusesWhatIsNoToken() {
    try (CausalDecoder decoder = decoder(16, 2, "ring")) {
      assertThatThrownBy(() -> decoder.append(new int[] {1, 512}))
          .isInstanceOf(InvalidInputException.class)
          .hasMessage("Invalid token: found id 512, expected 0 to 511 of the model's vocabulary");
      assertThatThrownBy(() -> decoder.append(new int[0]))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContaining("found no tokens");
    }
  }

  @Test
  void refusesAttentionThatIsNotTheModels() {
    Map<Key, String> options = Map.of(Key.MASK, "causal", Key.SOFTCAP, "30");
    AttentionConfig config = AttentionConfig.resolve(options, spark.sparkContext().conf());
    assertThatThrownBy(() -> new CausalDecoder(spark, model, config))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("Cannot run a decoder with mask 'causal', softcap 30");
  }

  /** It would move the queries of every call by those before it. */
  @Test
  void refusesAnotherAlignment() {
    Map<Key, String> options = Map.of(Key.MASK, "causal", Key.CAUSAL_ALIGNMENT, "bottom-right");
    AttentionConfig config = AttentionConfig.resolve(options, spark.sparkContext().conf());
    assertThatThrownBy(() -> new CausalDecoder(spark, model, config))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("Cannot run a decoder with causalAlignment bottom-right: ");
  }
}

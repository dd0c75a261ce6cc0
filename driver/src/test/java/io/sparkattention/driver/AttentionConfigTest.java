package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.scores.PositionBias;
import io.sparkattention.driver.scores.RelativeBias;
import io.sparkattention.driver.scores.ScoreConfig;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.CausalAlignment;
import java.util.List;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AttentionConfigTest {
  /** Without the system properties of this JVM. */
  private final SparkConf conf = new SparkConf(false);

  @Test
  void defaults() {
    AttentionConfig config = AttentionConfig.resolve(Map.of(), conf);
    assertThat(config.mask()).isEqualTo(AttentionMask.full());
    assertThat(config.causalAlignment()).isEqualTo(CausalAlignment.TOP_LEFT);
    assertThat(config.scale()).isEmpty();
    assertThat(config.scores()).isEqualTo(new ScoreConfig(0, null, null, null, 0, 0, List.of()));
    assertThat(config.exchange()).isEqualTo(ExchangeKind.AUTO);
    assertThat(config.assignment()).isEmpty();
    assertThat(config.blockTokens()).isEqualTo(2048);
    assertThat(config.shards()).isEmpty();
    assertThat(config.numHeads()).isEmpty();
    assertThat(config.numKeyValueHeads()).isEmpty();
    assertThat(config.keyValueType()).isEmpty();
    assertThat(config.kernel()).isEqualTo("auto");
  }

  @Test
  void everyKeyIsReadFromSparksConfiguration() {
    conf.set("spark.attention.mask", "sliding-window:7,2")
        .set("spark.attention.causalAlignment", "bottom-right")
        .set("spark.attention.scale", "0.25")
        .set("spark.attention.softcap", "30")
        .set("spark.attention.alibi", "0.5, 0.25\n2")
        .set("spark.attention.relativeBias", "bidirectional,128,1 -2,-inf 4")
        .set("spark.attention.sinks", "-1")
        .set("spark.attention.dropout", "0.1")
        .set("spark.attention.seed", "-9223372036854775808")
        .set("spark.attention.exchange", "reduce")
        .set("spark.attention.assignment", "zigzag")
        .set("spark.attention.blockTokens", "65536")
        .set("spark.attention.shards", "12")
        .set("spark.attention.numHeads", "8")
        .set("spark.attention.numKvHeads", "2")
        .set("spark.attention.keyValueType", "bf16")
        .set("spark.attention.kernel", "scalar")
        .set("spark.app.name", "not ours");
    AttentionConfig config = AttentionConfig.resolve(Map.of(), conf);
    assertThat(config.mask()).isEqualTo(AttentionMask.slidingWindow(7, 2));
    assertThat(config.causalAlignment()).isEqualTo(CausalAlignment.BOTTOM_RIGHT);
    assertThat(config.scale()).hasValue(0.25);
    assertThat(config.scores().softcap()).isEqualTo(30);
    assertThat(config.scores().alibi()).containsExactly(0.5f, 0.25f, 2);
    assertThat(config.scores().relativeBias().bidirectional()).isTrue();
    assertThat(config.scores().relativeBias().maxDistance()).isEqualTo(128);
    assertThat(config.scores().relativeBias().numbers())
        .containsExactly(1, -2, Float.NEGATIVE_INFINITY, 4);
    assertThat(config.scores().sinks()).containsExactly(-1);
    assertThat(config.scores().dropout()).isEqualTo(0.1);
    assertThat(config.scores().seed()).isEqualTo(Long.MIN_VALUE);
    assertThat(config.exchange()).isEqualTo(ExchangeKind.REDUCE);
    assertThat(config.assignment()).contains(BlockAssignment.ZIGZAG);
    assertThat(config.blockTokens()).isEqualTo(65_536);
    assertThat(config.shards()).hasValue(12);
    assertThat(config.numHeads()).hasValue(8);
    assertThat(config.numKeyValueHeads()).hasValue(2);
    assertThat(config.keyValueType()).contains(ElementType.BF16);
    assertThat(config.kernel()).isEqualTo("scalar");
  }

  @Test
  void anOptionGoesBeforeTheConfigurationBeforeTheDefault() {
    conf.set("spark.attention.blockTokens", "64").set("spark.attention.shards", "5");
    AttentionConfig config = AttentionConfig.resolve(Map.of(Key.SHARDS, "9"), conf);
    assertThat(config.shards()).hasValue(9);
    assertThat(config.blockTokens()).isEqualTo(64);
    assertThat(config.mask()).isEqualTo(AttentionMask.full());
  }

  @ParameterizedTest
  @CsvSource({
    "blokTokens, blockTokens",
    "block-tokens, blockTokens",
    "Mask, mask",
    "shard, shards",
    "softCap, softcap",
    "numKVHeads, numKvHeads",
    "causalAlignement, causalAlignment"
  })
  void anUnknownKeyNamesTheNearest(String unknown, String nearest) {
    conf.set(AttentionConfig.PREFIX + unknown, "1");
    assertThatThrownBy(() -> AttentionConfig.resolve(Map.of(), conf))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Unknown configuration key 'spark.attention.%s': did you mean 'spark.attention.%s'?"
                .formatted(unknown, nearest));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          CAUSAL_ALIGNMENT | left | top-left or bottom-right
          SCALE | big | a number between -1e30 and 1e30
          SCALE | NaN | a number between -1e30 and 1e30
          SCALE | 1e999 | a number between -1e30 and 1e30
          SOFTCAP | 0 | a number from 1e-6 to 1048576
          SOFTCAP | -3 | a number from 1e-6 to 1048576
          SOFTCAP | NaN | a number from 1e-6 to 1048576
          SOFTCAP | 1e7 | a number from 1e-6 to 1048576
          DROPOUT | 1 | a number from 0 to below 1
          DROPOUT | -0.1 | a number from 0 to below 1
          DROPOUT | NaN | a number from 0 to below 1
          SEED | 1.5 | a whole number of 64 bits
          SEED | 9223372036854775808 | a whole number of 64 bits
          RELATIVE_BIAS | causal,128 | KIND,MAX_DISTANCE,WEIGHTS: bidirectional or causal, a whole number from 1, and [buckets, heads] numbers up to 1048576 (-inf masks) or @FILE of them
          RELATIVE_BIAS | both,128,1 2 | KIND,MAX_DISTANCE,WEIGHTS: bidirectional or causal, a whole number from 1, and [buckets, heads] numbers up to 1048576 (-inf masks) or @FILE of them
          RELATIVE_BIAS | causal,0,1 2 | KIND,MAX_DISTANCE,WEIGHTS: bidirectional or causal, a whole number from 1, and [buckets, heads] numbers up to 1048576 (-inf masks) or @FILE of them
          EXCHANGE | rings | auto, ring, reduce, barrier, heads or broadcast
          ASSIGNMENT | random | contiguous, zigzag, striped or balanced
          BLOCK_TOKENS | 0 | a whole number from 1 to 65536
          BLOCK_TOKENS | 65537 | a whole number from 1 to 65536
          BLOCK_TOKENS | 2k | a whole number from 1 to 65536
          SHARDS | -1 | a whole number from 1 to 100000
          SHARDS | 1.5 | a whole number from 1 to 100000
          NUM_HEADS | 0 | a whole number from 1 to 65536
          NUM_KV_HEADS | '' | a whole number from 1 to 65536
          NUM_HEADS | 65537 | a whole number from 1 to 65536
          MAX_MEMORY | 4x | a size such as 512m, 4g or a number of bytes, at least 1m
          MAX_MEMORY | 0 | a size such as 512m, 4g or a number of bytes, at least 1m
          MAX_MEMORY | -1g | a size such as 512m, 4g or a number of bytes, at least 1m
          MAX_MEMORY | 1.5g | a size such as 512m, 4g or a number of bytes, at least 1m
          MAX_MEMORY | 1048575 | a size such as 512m, 4g or a number of bytes, at least 1m
          KEY_VALUE_TYPE | fp16 | auto, f32, bf16 or f16
          KEY_VALUE_TYPE | F16 | auto, f32, bf16 or f16
          KERNEL | cuda | auto, vector or scalar
          """)
  void aWrongValueNamesWhereItStandsAndWhatIsExpected(Key key, String value, String expected) {
    String reason = ": found '%s', expected %s".formatted(value, expected);
    assertThatThrownBy(() -> AttentionConfig.resolve(Map.of(key, value), conf))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage("Invalid " + key.option() + reason);
    conf.set(AttentionConfig.PREFIX + key.text(), value);
    assertThatThrownBy(() -> AttentionConfig.resolve(Map.of(), conf))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage("Invalid " + AttentionConfig.PREFIX + key.text() + reason);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "SINKS | 1,two,3 | 2 | two",
        "SINKS | 1,,3 | 2 | ''",
        "SINKS | '' | 1 | ''",
        "SINKS | NaN | 1 | NaN",
        "SINKS | 0 -inf | 2 | -inf",
        "SINKS | 1048577 | 1 | 1048577",
        "SINKS | -1048577 | 1 | -1048577",
        "ALIBI | Auto | 1 | Auto",
        "ALIBI | 1e9 | 1 | 1e9",
        "RELATIVE_BIAS | causal,128,1 2 inf | 3 | inf",
        "RELATIVE_BIAS | causal,128,1 NaN | 2 | NaN",
        "RELATIVE_BIAS | causal,128,1048577 | 1 | 1048577"
      })
  void aWrongNumberOfAListIsNamed(Key key, String value, int index, String found) {
    String expected =
        switch (key) {
          case SINKS ->
              "one number per query head, or one for all, from -1048576 to 1048576, or @FILE of"
                  + " such a list";
          case ALIBI ->
              "auto, or one slope per query head from -1048576 to 1048576, or @FILE of such a list";
          default ->
              "KIND,MAX_DISTANCE,WEIGHTS: bidirectional or causal, a whole number from 1, and"
                  + " [buckets, heads] numbers up to 1048576 (-inf masks) or @FILE of them";
        };
    assertThatThrownBy(() -> AttentionConfig.resolve(Map.of(key, value), conf))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Invalid %s: found '%s' as number %d, expected %s",
            key.option(), found, index, expected);
  }

  @Test
  void numbersComeFromAListThatIsNamed() {
    Map<Key, String> options =
        Map.of(Key.SINKS, "@s", Key.ALIBI, " @a", Key.RELATIVE_BIAS, "causal,4,@w");
    Map<String, String> lists = Map.of("s", "1\n2,3\n", "a", "0.5 0.25", "w", " 1 2\n3 4\n");
    ScoreConfig scores = AttentionConfig.resolve(options, conf, lists::get).scores();
    assertThat(scores.sinks()).containsExactly(1, 2, 3);
    assertThat(scores.alibi()).containsExactly(0.5f, 0.25f);
    assertThat(scores.relativeBias().numbers()).containsExactly(1, 2, 3, 4);
  }

  @Test
  void biasesAreAddedToTheOthers() {
    RelativeBias first = (head, distance) -> 1;
    PositionBias second = (head, query, key) -> 2;
    AttentionConfig config = AttentionConfig.resolve(Map.of(Key.SHARDS, "3"), conf);
    AttentionConfig biased = config.withBias(first).withBias(second);
    assertThat(biased.scores().biases()).containsExactly(first, second);
    assertThat(biased.shards()).hasValue(3);
    assertThat(config.scores().biases()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "sliding-window:x; LEFT is 'x', expected a whole number from 0 to 9223372036854775807",
        "causal & prefix; 'prefix' at 10: expected prefix:N",
        "(causal; the end of the text at 8, expected &, | or )"
      })
  void aWrongMaskNamesThePlaceInItsText(String mask, String reason) {
    assertThatThrownBy(() -> AttentionConfig.resolve(Map.of(Key.MASK, mask), conf))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage("Invalid --mask: found '%s', %s", mask, reason);
    conf.set("spark.attention.mask", mask);
    assertThatThrownBy(() -> AttentionConfig.resolve(Map.of(), conf))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage("Invalid spark.attention.mask: found '%s', %s", mask, reason);
  }

  @Test
  void listsOfMasksComeFromWhereTheCallerSays() {
    Map<Key, String> options = Map.of(Key.MASK, "causal & documents:@lengths");
    assertThat(
            AttentionConfig.resolve(options, conf, name -> name.equals("lengths") ? "3\n4" : "")
                .mask())
        .hasToString("causal & documents:3,4");
    assertThatThrownBy(() -> AttentionConfig.resolve(options, conf))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot read list 'lengths': expected the list itself; write its elements or give"
                + " AttentionConfig.resolve the ListFiles of a file system");
  }

  @ParameterizedTest
  @CsvSource({"4g, 4294967296", "512m, 536870912", "1048576, 1048576", "2048k, 2097152"})
  void memoryIsASizeAsSparkReadsIt(String text, long bytes) {
    conf.set("spark.attention.maxMemory", text);
    assertThat(AttentionConfig.resolve(Map.of(), conf).maxMemory()).hasValue(bytes);
    assertThat(AttentionConfig.resolve(Map.of(Key.MAX_MEMORY, "1m"), conf).maxMemory())
        .hasValue(1 << 20);
  }

  @ParameterizedTest
  @CsvSource({
    "NUM_KV_HEADS, --num-kv-heads",
    "BLOCK_TOKENS, --block-tokens",
    "MASK, --mask",
    "KEY_VALUE_TYPE, --key-value-type",
    "RELATIVE_BIAS, --relative-bias"
  })
  void optionsAreSpelledAsOnTheCommandLine(Key key, String option) {
    assertThat(key.option()).isEqualTo(option);
  }
}

package io.sparkattention.driver;

import io.sparkattention.driver.exchange.ScoreStage;
import io.sparkattention.driver.scores.BucketBias;
import io.sparkattention.driver.scores.NumberList.InvalidNumberException;
import io.sparkattention.driver.scores.PositionBias;
import io.sparkattention.driver.scores.ScoreConfig;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.CausalAlignment;
import io.sparkattention.partitioning.ClusterFacts;
import io.sparkattention.partitioning.InvalidMaskException;
import java.io.Serializable;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Function;
import org.apache.commons.text.similarity.LevenshteinDistance;
import org.apache.spark.SparkConf;
import org.apache.spark.network.util.JavaUtils;
import scala.Tuple2;

/**
 * Every setting of an attention run: its key, default and check. Precedence: an option given to the
 * run, then {@code spark.attention.KEY} in Spark's configuration, then the default.
 */
public final class AttentionConfig implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Settings in Spark's configuration start with this. */
  public static final String PREFIX = "spark.attention.";

  /** The settings by the names that {@code spark.attention.*} uses. */
  public enum Key {
    /** A mask's own message names the place in its text. */
    MASK("mask", "a mask as AttentionMask reads it"),
    /** Which key the first or last query is aligned with. */
    CAUSAL_ALIGNMENT("causalAlignment", "top-left or bottom-right"),
    /** Factor of the scores; 1/√headDim where it is absent. */
    SCALE("scale", "a number between -1e30 and 1e30"),
    SOFTCAP("softcap", "a number from 1e-6 to 1048576"),
    /** Slopes of linear biases. */
    ALIBI(
        "alibi",
        "auto, or one slope per query head from -1048576 to 1048576, or @FILE of such a list"),
    /** Weights of T5's buckets of distances. */
    RELATIVE_BIAS(
        "relativeBias",
        "KIND,MAX_DISTANCE,WEIGHTS: bidirectional or causal, a whole number from 1, and [buckets, heads] numbers up to 1048576 (-inf masks) or @FILE of them"),
    /** Logits of the heads' attention sinks. */
    SINKS(
        "sinks",
        "one number per query head, or one for all, from -1048576 to 1048576, or @FILE of such a list"),
    /** Probability of a weight to be dropped. */
    DROPOUT("dropout", "a number from 0 to below 1"),
    /** Of dropout. */
    SEED("seed", "a whole number of 64 bits"),
    EXCHANGE("exchange", "auto, ring, reduce, barrier, heads or broadcast"),
    ASSIGNMENT("assignment", "contiguous, zigzag, striped or balanced"),
    /** Tokens of a block. */
    BLOCK_TOKENS("blockTokens", "a whole number from 1 to " + MAX_BLOCK_TOKENS),
    /** Number of shards; the planner chooses where it is absent. */
    SHARDS("shards", "a whole number from 1 to " + MAX_SHARDS),
    /** What the planner knows of the cluster; single facts are {@code facts.NAME}. */
    FACTS("facts", "a properties file as calibrate writes it"),
    /** Bytes that a task may hold; what executors have beside their storage where it is absent. */
    MAX_MEMORY("maxMemory", "a size such as 512m, 4g or a number of bytes, at least 1m"),
    /** Query heads, where the shape of the input does not say. */
    NUM_HEADS("numHeads", "a whole number from 1 to " + MAX_HEADS),
    /** Key/value heads, likewise; as many as query heads where it is absent. */
    NUM_KV_HEADS("numKvHeads", "a whole number from 1 to " + MAX_HEADS),
    /** Element type of packed keys and values; that of the input where it has 16 bits: auto. */
    KEY_VALUE_TYPE("keyValueType", "auto, f32, bf16 or f16"),
    KERNEL("kernel", "auto, vector or scalar"),
    /** Scores to be written out as well; none where it is absent. */
    SCORES_OUTPUT("scoresOutput", "0, 1, 2 or 3");

    private final String text;
    private final String expected;

    Key(String text, String expected) {
      this.text = text;
      this.expected = expected;
    }

    /** The key without its prefix, in camelCase. */
    public String text() {
      return text;
    }

    /** The key as an option of the command line, for messages. */
    public String option() {
      return "--" + text.replaceAll("([A-Z])", "-$1").toLowerCase(Locale.ROOT);
    }
  }

  /** How partial results meet. */
  public enum ExchangeKind {
    AUTO,
    RING,
    REDUCE,
    BARRIER,
    HEADS,
    BROADCAST;

    private static ExchangeKind parse(String text) {
      return Arrays.stream(values())
          .filter(kind -> kind.toString().equals(text))
          .findFirst()
          .orElseThrow(() -> new IllegalArgumentException("Invalid exchange: '" + text + "'"));
    }

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private static final Set<String> KERNELS = Set.of("auto", "vector", "scalar");
  private static final int DEFAULT_BLOCK_TOKENS = 2048;
  private static final int MAX_BLOCK_TOKENS = 65_536;
  static final int MAX_SHARDS = 100_000;
  private static final int MAX_HEADS = 65_536;
  private static final long MIN_MEMORY = 1L << 20;

  /** Scaled queries stay float32 for every query below 1e8. */
  private static final double MAX_SCALE = 1e30;

  private final AttentionMask mask;
  private final CausalAlignment causalAlignment;
  private final Double scale;
  private final ScoreConfig scores;
  private final ExchangeKind exchange;
  private final BlockAssignment assignment;
  private final int blockTokens;
  private final Integer shards;
  private final ClusterFacts facts;
  private final String factsSource;
  private final Long maxMemory;
  private final Integer numHeads;
  private final Integer numKeyValueHeads;
  private final ElementType keyValueType;
  private final String kernel;
  private final ScoreStage scoresOutput;

  private AttentionConfig(Settings s, Function<String, String> lists) {
    this.mask = s.get(Key.MASK, text -> AttentionMask.parse(text, lists), AttentionMask.full());
    this.causalAlignment =
        s.get(Key.CAUSAL_ALIGNMENT, CausalAlignment::parse, CausalAlignment.TOP_LEFT);
    this.scale = s.get(Key.SCALE, AttentionConfig::parseScale, null);
    this.scores = scores(s, lists);
    this.exchange = s.get(Key.EXCHANGE, ExchangeKind::parse, ExchangeKind.AUTO);
    this.assignment = s.get(Key.ASSIGNMENT, BlockAssignment::parse, null);
    this.blockTokens = s.get(Key.BLOCK_TOKENS, upTo(MAX_BLOCK_TOKENS), DEFAULT_BLOCK_TOKENS);
    this.shards = s.get(Key.SHARDS, upTo(MAX_SHARDS), null);
    FactsFile file = new FactsFile(lists);
    this.facts = file.with(s.get(Key.FACTS, file::read, ClusterFacts.defaults()), s.conf);
    this.factsSource = file.source();
    this.maxMemory = s.get(Key.MAX_MEMORY, AttentionConfig::parseMemory, null);
    this.numHeads = s.get(Key.NUM_HEADS, upTo(MAX_HEADS), null);
    this.numKeyValueHeads = s.get(Key.NUM_KV_HEADS, upTo(MAX_HEADS), null);
    this.keyValueType = s.get(Key.KEY_VALUE_TYPE, AttentionConfig::parseElementType, null);
    this.kernel = s.get(Key.KERNEL, AttentionConfig::checkKernel, "auto");
    this.scoresOutput = s.get(Key.SCORES_OUTPUT, ScoreStage::parse, null);
  }

  private AttentionConfig(AttentionConfig other, ScoreConfig scores) {
    this.mask = other.mask;
    this.causalAlignment = other.causalAlignment;
    this.scale = other.scale;
    this.scores = scores;
    this.exchange = other.exchange;
    this.assignment = other.assignment;
    this.blockTokens = other.blockTokens;
    this.shards = other.shards;
    this.facts = other.facts;
    this.factsSource = other.factsSource;
    this.maxMemory = other.maxMemory;
    this.numHeads = other.numHeads;
    this.numKeyValueHeads = other.numKeyValueHeads;
    this.keyValueType = other.keyValueType;
    this.kernel = other.kernel;
    this.scoresOutput = other.scoresOutput;
  }

  private static ScoreConfig scores(Settings s, Function<String, String> lists) {
    return new ScoreConfig(
        s.get(Key.SOFTCAP, ScoreConfig::parseSoftcap, 0.0),
        s.get(Key.ALIBI, text -> ScoreConfig.parseAlibi(text, lists), null),
        s.get(Key.RELATIVE_BIAS, text -> BucketBias.Weights.parse(text, lists), null),
        s.get(Key.SINKS, text -> ScoreConfig.parseSinks(text, lists), null),
        s.get(Key.DROPOUT, ScoreConfig::parseDropout, 0.0),
        s.get(Key.SEED, Long::parseLong, 0L),
        List.of());
  }

  /** Reads all settings; lists stand in their texts. */
  public static AttentionConfig resolve(Map<Key, String> options, SparkConf conf) {
    return resolve(options, conf, AttentionConfig::refuseList);
  }

  /**
   * Reads all settings.
   *
   * @param options what the run itself was given
   * @param conf Spark's configuration
   * @param lists gives the text of a list that a setting names as {@code @NAME}; {@link
   *     io.sparkattention.driver.io.ListFiles} takes the name for a file
   * @throws InvalidInputException if a value is wrong or a {@code spark.attention.*} key unknown
   */
  public static AttentionConfig resolve(
      Map<Key, String> options, SparkConf conf, Function<String, String> lists) {
    refuseUnknownKeys(conf);
    return new AttentionConfig(new Settings(options, conf), lists);
  }

  private static String refuseList(String name) {
    throw new InvalidInputException(
        "Cannot read list '%s': expected the list itself; write its elements or give AttentionConfig.resolve the ListFiles of a file system"
            .formatted(name));
  }

  private static void refuseUnknownKeys(SparkConf conf) {
    for (Tuple2<String, String> entry : conf.getAllWithPrefix(PREFIX)) {
      String found = entry._1();
      boolean known = Arrays.stream(Key.values()).anyMatch(key -> key.text.equals(found));
      if (!known && !(PREFIX + found).startsWith(ClusterFacts.PREFIX)) {
        throw new InvalidInputException(
            "Unknown configuration key '%s%s': did you mean '%s%s'?"
                .formatted(PREFIX, found, PREFIX, nearestKey(found)));
      }
    }
  }

  private static String nearestKey(String found) {
    LevenshteinDistance distance = LevenshteinDistance.getDefaultInstance();
    return Arrays.stream(Key.values())
        .map(Key::text)
        .min(Comparator.comparingInt(key -> distance.apply(key, found)))
        .orElseThrow();
  }

  /** The value of a key and where it was found. */
  private record Settings(Map<Key, String> options, SparkConf conf) {
    <T> T get(Key key, Function<String, T> parse, T absent) {
      String option = options.get(key);
      String confKey = PREFIX + key.text;
      String text = option != null ? option : conf.get(confKey, null);
      if (text == null) {
        return absent;
      }
      String where = option != null ? key.option() : confKey;
      try {
        return parse.apply(text);
      } catch (InvalidMaskException e) {
        throw new InvalidInputException(
            "Invalid %s: found '%s', %s".formatted(where, e.found(), e.reason()), e);
      } catch (InvalidNumberException e) {
        throw new InvalidInputException(
            "Invalid %s: %s, expected %s".formatted(where, e.getMessage(), key.expected), e);
      } catch (IllegalArgumentException e) {
        throw new InvalidInputException(
            "Invalid %s: found '%s', expected %s".formatted(where, text, key.expected), e);
      }
    }
  }

  private static Function<String, Integer> upTo(int max) {
    return text -> {
      int value = Integer.parseInt(text);
      if (value < 1 || value > max) {
        throw new IllegalArgumentException("Out of range: " + value);
      }
      return value;
    };
  }

  private static Double parseScale(String text) {
    double value = Double.parseDouble(text);
    // Not the opposite comparison: NaN is refused too.
    if (!(Math.abs(value) <= MAX_SCALE)) {
      throw new IllegalArgumentException("Out of range: " + value);
    }
    return value;
  }

  /** A size as Spark writes it; without a unit it is in bytes. */
  private static Long parseMemory(String text) {
    long bytes = JavaUtils.byteStringAsBytes(text);
    if (bytes < MIN_MEMORY) {
      throw new IllegalArgumentException("Out of range: " + bytes);
    }
    return bytes;
  }

  /** Null: auto. */
  private static ElementType parseElementType(String text) {
    if (text.equals("auto")) {
      return null;
    }
    return Arrays.stream(ElementType.values())
        .filter(type -> type.toString().equals(text))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("Unknown element type: " + text));
  }

  private static String checkKernel(String name) {
    if (!KERNELS.contains(name)) {
      throw new IllegalArgumentException("Unknown kernel: " + name);
    }
    try {
      AttentionKernels.named(name);
    } catch (IllegalArgumentException e) {
      throw new InvalidInputException(e.getMessage() + "; add that option or use auto", e);
    }
    return name;
  }

  public AttentionMask mask() {
    return mask;
  }

  public CausalAlignment causalAlignment() {
    return causalAlignment;
  }

  /** Factor of the scores; absent: 1/√headDim. */
  public OptionalDouble scale() {
    return scale == null ? OptionalDouble.empty() : OptionalDouble.of(scale);
  }

  /** Softcap, biases, sinks and dropout. */
  public ScoreConfig scores() {
    return scores;
  }

  /**
   * This configuration with one more bias, a function of positions that no text can say. It is
   * added after those of the settings and those of earlier calls.
   *
   * @param bias travels with the tasks
   */
  public AttentionConfig withBias(PositionBias bias) {
    return new AttentionConfig(this, scores.withBias(bias));
  }

  public ExchangeKind exchange() {
    return exchange;
  }

  /** Absent: the plan chooses. */
  public Optional<BlockAssignment> assignment() {
    return Optional.ofNullable(assignment);
  }

  public int blockTokens() {
    return blockTokens;
  }

  /**
   * What is known of the cluster: the defaults, then the file of {@code facts}, then {@code
   * spark.attention.facts.*}. A running cluster's own counts and memory replace those here.
   */
  public ClusterFacts facts() {
    return facts;
  }

  /** Where the facts come from, in a few words. */
  String factsSource() {
    return factsSource;
  }

  /** Absent: the planner chooses. */
  public OptionalInt shards() {
    return optional(shards);
  }

  /** Bytes that a task may hold; absent: what executors have beside what they store. */
  public OptionalLong maxMemory() {
    return maxMemory == null ? OptionalLong.empty() : OptionalLong.of(maxMemory);
  }

  /** Absent: the input's shape says. */
  public OptionalInt numHeads() {
    return optional(numHeads);
  }

  /** Absent: as many as query heads. */
  public OptionalInt numKeyValueHeads() {
    return optional(numKeyValueHeads);
  }

  /** Absent: the input's, where its keys and values have 16 bits, else float32. */
  public Optional<ElementType> keyValueType() {
    return Optional.ofNullable(keyValueType);
  }

  public String kernel() {
    return kernel;
  }

  /** Absent: scores are not written. */
  public Optional<ScoreStage> scoresOutput() {
    return Optional.ofNullable(scoresOutput);
  }

  private static OptionalInt optional(Integer value) {
    return value == null ? OptionalInt.empty() : OptionalInt.of(value);
  }
}

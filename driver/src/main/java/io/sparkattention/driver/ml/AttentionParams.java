package io.sparkattention.driver.ml;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.ListFiles;
import java.util.EnumMap;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.ml.Transformer;
import org.apache.spark.ml.param.DoubleParam;
import org.apache.spark.ml.param.IntParam;
import org.apache.spark.ml.param.Param;
import org.apache.spark.sql.SparkSession;
import scala.Function1;

/**
 * The settings of an attention run as Params: those of {@link AttentionConfig}, which has their
 * checks and defaults. What is not set is taken from {@code spark.attention.*} in Spark's
 * configuration.
 */
abstract class AttentionParams extends Transformer {
  private static final long serialVersionUID = 1L;

  private final String uid;
  private final EnumMap<Key, Param<?>> settings = new EnumMap<>(Key.class);
  private final IntParam numHeads;
  private final IntParam numKeyValueHeads;
  private final Param<String> mask;
  private final DoubleParam scale;
  private final DoubleParam softcap;
  private final Param<String> alibi;
  private final Param<String> exchange;
  private final Param<String> assignment;
  private final IntParam shards;
  private final IntParam blockTokens;

  AttentionParams(String uid) {
    this.uid = uid;
    this.numHeads =
        integer(
            Key.NUM_HEADS,
            "numHeads",
            "number of query heads, side by side in each array of the query column");
    this.numKeyValueHeads =
        integer(
            Key.NUM_KV_HEADS,
            "numKeyValueHeads",
            "number of key/value heads, a divisor of numHeads (grouped-query attention); as many as query heads if not set");
    this.mask =
        text(
            Key.MASK,
            "mask",
            "which keys a query sees: full, causal, sliding-window:1023 and so on, joined by & and |, with lists as they are or in a file, @FILE; full if not set");
    this.scale = number(Key.SCALE, "scale", "factor of the scores; 1/sqrt(headDim) if not set");
    this.softcap =
        number(
            Key.SOFTCAP,
            "softcap",
            "bound c of the scores, which become c * tanh(score / c); none if not set");
    this.alibi =
        text(
            Key.ALIBI,
            "alibi",
            "slopes of ALiBi's linear biases: auto, or one per query head; no biases if not set");
    this.exchange =
        text(
            Key.EXCHANGE,
            "exchange",
            "how partial results meet: auto, ring, reduce, barrier, heads or broadcast; never changes the result; auto if not set");
    this.assignment =
        text(
            Key.ASSIGNMENT,
            "assignment",
            "which shard owns which blocks: contiguous, zigzag, striped or balanced; never changes the result; the plan chooses if not set");
    this.shards =
        integer(
            Key.SHARDS,
            "shards",
            "number of shards; never changes the result; the plan chooses if not set");
    this.blockTokens =
        integer(
            Key.BLOCK_TOKENS,
            "blockTokens",
            "tokens of a block, the unit of computation; 2048 if not set");
  }

  private IntParam integer(Key key, String name, String doc) {
    return added(key, new IntParam(this, name, doc, valid(key, name)));
  }

  private DoubleParam number(Key key, String name, String doc) {
    return added(key, new DoubleParam(this, name, doc, valid(key, name)));
  }

  private Param<String> text(Key key, String name, String doc) {
    return added(key, new Param<>(this, name, doc, valid(key, name)));
  }

  private <P extends Param<?>> P added(Key key, P param) {
    settings.put(key, param);
    return param;
  }

  /** Accepts what the setting accepts and throws with its words; files of lists are read later. */
  private static <T> Function1<T, Object> valid(Key key, String name) {
    return value -> {
      String text = String.valueOf(value);
      try {
        if (!text.contains("@")) {
          AttentionConfig.resolve(Map.of(key, text), new SparkConf(false));
        }
      } catch (InvalidInputException e) {
        throw new IllegalArgumentException(e.getMessage().replace(key.option(), name), e);
      }
      return true;
    };
  }

  /** What was set, and for the rest Spark's configuration and the defaults. */
  AttentionConfig config(SparkSession spark) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    settings.forEach(
        (key, param) -> {
          if (isDefined(param)) {
            options.put(key, String.valueOf($(param)));
          }
        });
    return AttentionConfig.resolve(
        options,
        spark.sparkContext().conf(),
        ListFiles.from(spark.sparkContext().hadoopConfiguration()));
  }

  /** An error's message with the names of Params where it has those of options. */
  String inParams(String message) {
    String named = message;
    for (Map.Entry<Key, Param<?>> setting : settings.entrySet()) {
      named = named.replace(setting.getKey().option(), setting.getValue().name());
    }
    return named;
  }

  @Override
  public String uid() {
    return uid;
  }

  /** Number of query heads. */
  public IntParam numHeads() {
    return numHeads;
  }

  /** Number of key/value heads. */
  public IntParam numKeyValueHeads() {
    return numKeyValueHeads;
  }

  /** Which keys a query sees. */
  public Param<String> mask() {
    return mask;
  }

  /** Factor of the scores. */
  public DoubleParam scale() {
    return scale;
  }

  /** Bound of the scores. */
  public DoubleParam softcap() {
    return softcap;
  }

  /** Slopes of linear biases. */
  public Param<String> alibi() {
    return alibi;
  }

  /** How partial results meet. */
  public Param<String> exchange() {
    return exchange;
  }

  /** Which shard owns which blocks. */
  public Param<String> assignment() {
    return assignment;
  }

  /** Number of shards. */
  public IntParam shards() {
    return shards;
  }

  /** Tokens of a block. */
  public IntParam blockTokens() {
    return blockTokens;
  }
}

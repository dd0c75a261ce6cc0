package io.sparkattention.driver.scores;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.kernels.Dropout;
import io.sparkattention.kernels.HeadSlice;
import io.sparkattention.kernels.InvalidElementException;
import io.sparkattention.kernels.ScoreBias;
import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * What becomes of the scores and weights of a run: {@link ScoreConfig} resolved against the number
 * of query heads. Travels with the tasks.
 */
public final class Scores implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Shown of a list in the plan and the report. */
  private static final int SHOWN = 4;

  private final int heads;

  /** The first of the heads, counted in all heads of the run. */
  private final int firstHead;

  private final float softcap;
  private final List<PositionBias> biases;

  /** [heads]; −∞: none. */
  private final float[] sinks;

  private final double dropout;
  private final long seed;
  private final String summary;

  private Scores(ScoreConfig config, int heads) {
    this.heads = heads;
    this.firstHead = 0;
    this.softcap = (float) config.softcap();
    List<PositionBias> biases = new ArrayList<>();
    if (config.alibi() != null) {
      biases.add(new AlibiBias(slopes(config.alibi(), heads)));
    }
    if (config.relativeBias() != null) {
      biases.add(config.relativeBias().forHeads(heads));
    }
    biases.addAll(config.biases());
    this.biases = biases;
    this.sinks = sinks(config.sinks(), heads);
    this.dropout = config.dropout();
    this.seed = config.seed();
    this.summary = summary(config);
  }

  /**
   * Resolves the settings of a run.
   *
   * @param heads query heads
   * @throws InvalidInputException if a list is one for another number of heads
   */
  public static Scores of(ScoreConfig config, int heads) {
    return new Scores(config, heads);
  }

  private Scores(Scores all, HeadSlice slice) {
    this.heads = slice.layout().numHeads();
    this.firstHead = all.firstHead + slice.firstHead();
    this.softcap = all.softcap;
    this.biases = all.biases.stream().map(bias -> fromHead(bias, slice.firstHead())).toList();
    this.sinks = Arrays.copyOfRange(all.sinks, slice.firstHead(), slice.firstHead() + heads);
    this.dropout = all.dropout;
    this.seed = all.seed;
    this.summary = all.summary;
  }

  private static PositionBias fromHead(PositionBias bias, int first) {
    if (bias instanceof RelativeBias relative) {
      return (RelativeBias) (head, distance) -> relative.of(first + head, distance);
    }
    return (head, query, key) -> bias.of(first + head, query, key);
  }

  /** What becomes of the scores of some of the heads, which count from 0 there. */
  public Scores ofHeads(HeadSlice slice) {
    return slice.isWhole() ? this : new Scores(this, slice);
  }

  private static float[] slopes(float[] given, int heads) {
    if (given.length == 0) {
      return AlibiBias.publishedSlopes(heads);
    }
    if (given.length != heads) {
      throw new InvalidInputException(
          "Invalid %s: found %d slopes, expected %d, one per query head; give that many, or auto"
              .formatted(Key.ALIBI.option(), given.length, heads));
    }
    return given;
  }

  private static float[] sinks(float[] given, int heads) {
    float[] sinks = new float[heads];
    if (given == null || given.length == 1) {
      Arrays.fill(sinks, given == null ? Float.NEGATIVE_INFINITY : given[0]);
      return sinks;
    }
    if (given.length != heads) {
      throw new InvalidInputException(
          "Invalid %s: found %d logits, expected %d, one per query head, or a single one; give that many"
              .formatted(Key.SINKS.option(), given.length, heads));
    }
    return given;
  }

  /** Positive; 0: none. */
  public float softcap() {
    return softcap;
  }

  /**
   * The biases of a pair of blocks, in the order in which they are added.
   *
   * @param offset of the causal alignment, from a query's position to that among the keys
   */
  public List<ScoreBias> biases(Block queries, Block keys, long offset) {
    List<ScoreBias> ofPair = new ArrayList<>();
    for (PositionBias bias : biases) {
      ofPair.add(
          bias instanceof RelativeBias relative
              ? new RelativeTable(relative, heads, queries, keys, offset)
              : ofPair(bias, queries, keys, offset));
    }
    return ofPair;
  }

  private static ScoreBias ofPair(PositionBias bias, Block queries, Block keys, long offset) {
    return (head, row, key, count, target) -> {
      long query = queries.start() + row + offset;
      for (int i = 0; i < count; i++) {
        target[i] = usable(bias.of(head, query, keys.start() + key + i), head, row);
      }
    };
  }

  /**
   * The bias as the kernel takes it: what people write for −∞ is −∞.
   *
   * @param row the query's row in its block
   * @throws InvalidElementException for NaN and +∞
   */
  static float usable(float bias, int head, int row) {
    if (!(bias < Float.POSITIVE_INFINITY)) {
      throw new InvalidElementException("bias", head, row, bias, "a number or -Infinity");
    }
    return bias < -NumberList.MAX ? Float.NEGATIVE_INFINITY : bias;
  }

  /** The dropout of a pair of blocks: by the positions in the sequence, without an alignment. */
  public Dropout dropout(Block queries, Block keys) {
    return new Dropout(dropout, seed, queries.start(), keys.start()).fromHead(firstHead);
  }

  /** Of a weight to be dropped; 0: none. */
  public double dropoutProbability() {
    return dropout;
  }

  /** Logit of a head's attention sink; −∞: none. */
  public float sink(int head) {
    return sinks[head];
  }

  /** What is set, for a person to read; empty where nothing is. */
  public String summary() {
    return summary;
  }

  private static String summary(ScoreConfig config) {
    List<String> set = new ArrayList<>();
    if (config.softcap() > 0) {
      set.add("softcap " + config.softcap());
    }
    if (config.alibi() != null) {
      set.add("alibi " + (config.alibi().length == 0 ? "auto" : beginning(config.alibi())));
    }
    if (config.relativeBias() != null) {
      set.add("relative bias " + config.relativeBias());
    }
    if (!config.biases().isEmpty()) {
      set.add("functions of positions " + config.biases().size());
    }
    if (config.sinks() != null) {
      set.add("sinks " + beginning(config.sinks()));
    }
    if (config.dropout() > 0) {
      set.add("dropout %s with seed %d".formatted(config.dropout(), config.seed()));
    }
    return String.join(", ", set);
  }

  private static String beginning(float[] list) {
    return IntStream.range(0, Math.min(SHOWN, list.length))
        .mapToObj(i -> Float.toString(list[i]))
        .collect(Collectors.joining(",", "", list.length > SHOWN ? ",…" : ""));
  }
}

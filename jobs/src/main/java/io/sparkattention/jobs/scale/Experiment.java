package io.sparkattention.jobs.scale;

import io.sparkattention.driver.AttentionConfig.ExchangeKind;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.jobs.scale.ExperimentText.Setting;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.BlockAssignment;
import io.sparkattention.partitioning.InvalidMaskException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * What an experiment file asks for: a matrix of lengths × heads × masks × exchanges × assignments ×
 * shards, each measured several times on synthetic input. The file has Java properties; lists are
 * separated by commas, masks, which have commas, by semicolons.
 */
public final class Experiment {
  private static final int MAX_RUNS = 100_000;
  private static final int MAX_HEADS = 65_536;
  private static final int MAX_SHARDS = 100_000;
  private static final Pattern SHARDS = Pattern.compile("[1-9][0-9]*|slots(\\*[1-9][0-9]*)?");

  private final String title;
  private final List<Long> lengths;
  private final List<Integer> heads;

  /** 0: as many as query heads. */
  private final int keyValueHeads;

  private final int headDim;
  private final List<String> masks;
  private final List<String> exchanges;
  private final List<String> assignments;
  private final List<String> shards;
  private final int repetitions;
  private final int warmUps;
  private final int blockTokens;
  private final String keyValueType;
  private final long seed;

  private Experiment(Path file, Function<String, String> lists) {
    ExperimentText text = ExperimentText.read(file);
    this.title = text.get(Setting.TITLE, String.valueOf(file.getFileName()));
    this.lengths =
        text.list(
            Setting.LENGTHS,
            ",",
            null,
            number -> upTo(Block.MAX_POSITION, number),
            "whole numbers of tokens from 1, separated by commas");
    this.heads = counts(text, Setting.HEADS, "1", MAX_HEADS);
    this.keyValueHeads = count(text, Setting.KEY_VALUE_HEADS, "0", 0, MAX_HEADS);
    this.headDim = count(text, Setting.HEAD_DIM, "64", 1, HeadLayout.MAX_HEAD_DIM);
    this.masks =
        text.list(
            Setting.MASKS,
            ";",
            "full",
            mask -> checkMask(file, mask, lists),
            "masks, separated by semicolons");
    this.exchanges = names(text, Setting.EXCHANGES, "ring", ExchangeKind.values());
    this.assignments =
        names(text, Setting.ASSIGNMENTS, Configuration.AUTO, BlockAssignment.values());
    this.shards =
        text.list(
            Setting.SHARDS,
            ",",
            "slots",
            Experiment::checkShards,
            "whole numbers from 1 to %d, slots or slots*N, separated by commas"
                .formatted(MAX_SHARDS));
    this.repetitions = count(text, Setting.REPETITIONS, "3", 1, 1000);
    this.warmUps = count(text, Setting.WARM_UPS, "1", 0, 1000);
    this.blockTokens = count(text, Setting.BLOCK_TOKENS, "2048", 1, 65_536);
    this.keyValueType =
        text.value(
            Setting.KEY_VALUE_TYPE,
            "f32",
            type -> oneOf(type, "f32", "bf16", "f16"),
            "f32, bf16 or f16");
    this.seed = text.value(Setting.SEED, "0", Long::valueOf, "a whole number of 64 bits");
    checkHeads(file);
    checkRuns(file);
  }

  /**
   * Reads and checks an experiment file.
   *
   * @param lists gives the text of a list that a mask names as {@code @FILE}
   * @throws InvalidInputException if a setting is unknown, missing or wrong
   */
  public static Experiment read(Path file, Function<String, String> lists) {
    return new Experiment(file, lists);
  }

  private static int count(ExperimentText text, Setting setting, String absent, int min, int max) {
    return text.value(
        setting,
        absent,
        number -> {
          int value = Integer.parseInt(number);
          if (value < min || value > max) {
            throw new IllegalArgumentException("Out of range: " + value);
          }
          return value;
        },
        "a whole number from %d to %d".formatted(min, max));
  }

  private static List<Integer> counts(
      ExperimentText text, Setting setting, String absent, int max) {
    return text.list(
        setting,
        ",",
        absent,
        number -> Math.toIntExact(upTo(max, number)),
        "whole numbers from 1 to %d, separated by commas".formatted(max));
  }

  private static long upTo(long max, String number) {
    long value = Long.parseLong(number);
    if (value < 1 || value > max) {
      throw new IllegalArgumentException("Out of range: " + value);
    }
    return value;
  }

  /** Lower-case names of constants, or auto. */
  private static List<String> names(
      ExperimentText text, Setting setting, String absent, Enum<?>[] values) {
    Set<String> names = new LinkedHashSet<>();
    names.add(Configuration.AUTO);
    Arrays.stream(values).map(Object::toString).forEach(names::add);
    return text.list(
        setting,
        ",",
        absent,
        name -> oneOf(name, names.toArray(String[]::new)),
        "names among %s, separated by commas".formatted(String.join(", ", names)));
  }

  private static String oneOf(String found, String... names) {
    if (!Arrays.asList(names).contains(found)) {
      throw new IllegalArgumentException("Unknown name: " + found);
    }
    return found;
  }

  private static String checkMask(Path file, String mask, Function<String, String> lists) {
    try {
      AttentionMask.parse(mask, lists);
      return mask;
    } catch (InvalidMaskException e) {
      throw new InvalidInputException(
          "Invalid masks in '%s': found '%s', %s".formatted(file, e.found(), e.reason()), e);
    }
  }

  private static String checkShards(String text) {
    if (!SHARDS.matcher(text).matches() || count(text, 1) > MAX_SHARDS) {
      throw new IllegalArgumentException("Invalid number of shards: " + text);
    }
    return text;
  }

  private static int count(String shards, int slots) {
    if (!shards.startsWith("slots")) {
      return Integer.parseInt(shards);
    }
    int star = shards.indexOf('*');
    int factor = star < 0 ? 1 : Integer.parseInt(shards.substring(star + 1));
    return Math.multiplyExact(slots, factor);
  }

  private void checkHeads(Path file) {
    for (int h : heads) {
      if (keyValueHeads > 0 && h % keyValueHeads != 0) {
        throw new InvalidInputException(
            "Invalid heads in '%s': found %d for %d keyValueHeads, expected a multiple of them; correct one of both"
                .formatted(file, h, keyValueHeads));
      }
    }
  }

  private void checkRuns(Path file) {
    double runs = (double) repetitions * lengths.size() * heads.size() * masks.size();
    runs *= (double) exchanges.size() * assignments.size() * shards.size();
    if (runs > MAX_RUNS) {
      throw new InvalidInputException(
          "Invalid matrix in '%s': found %.0f runs, expected at most %d; shorten its lists"
              .formatted(file, runs, MAX_RUNS));
    }
  }

  /** What the experiment is called on its page. */
  public String title() {
    return title;
  }

  int repetitions() {
    return repetitions;
  }

  /** Runs of each exchange and mask before those that are measured. */
  int warmUps() {
    return warmUps;
  }

  long seed() {
    return seed;
  }

  int keyValueHeads(int queryHeads) {
    return keyValueHeads == 0 ? queryHeads : keyValueHeads;
  }

  HeadLayout layout(int queryHeads) {
    return new HeadLayout(queryHeads, keyValueHeads(queryHeads), headDim, headDim);
  }

  int headDim() {
    return headDim;
  }

  /** Settings that all configurations have in common. */
  Map<Key, String> options() {
    return Map.of(
        Key.BLOCK_TOKENS, Integer.toString(blockTokens), Key.KEY_VALUE_TYPE, keyValueType);
  }

  /**
   * All cells of the matrix, each once.
   *
   * @param slots what {@code slots} stands for among the shards
   */
  List<Configuration> configurations(int slots) {
    Set<Configuration> all = new LinkedHashSet<>();
    for (long tokens : lengths) {
      for (int h : heads) {
        for (String mask : masks) {
          for (String exchange : exchanges) {
            for (String assignment : assignments) {
              for (String count : shards) {
                all.add(
                    new Configuration(tokens, h, mask, exchange, assignment, count(count, slots)));
              }
            }
          }
        }
      }
    }
    return List.copyOf(all);
  }

  /** One configuration of each exchange and mask, the shortest. */
  List<Configuration> warmUpConfigurations(int slots) {
    long shortest = lengths.stream().min(Long::compare).orElseThrow();
    Set<String> seen = new LinkedHashSet<>();
    List<Configuration> first = new ArrayList<>();
    for (Configuration c : configurations(slots)) {
      if (c.tokens() == shortest && seen.add(c.exchange() + ";" + c.mask())) {
        first.add(c);
      }
    }
    return first;
  }

  /** All settings, as an experiment file: two experiments with the same text are the same. */
  @Override
  public String toString() {
    return """
        title = %s
        lengths = %s
        heads = %s
        keyValueHeads = %d
        headDim = %d
        masks = %s
        exchanges = %s
        assignments = %s
        shards = %s
        repetitions = %d
        warmUps = %d
        blockTokens = %d
        keyValueType = %s
        seed = %d
        """
        .formatted(
            title,
            joined(lengths, ", "),
            joined(heads, ", "),
            keyValueHeads,
            headDim,
            joined(masks, "; "),
            joined(exchanges, ", "),
            joined(assignments, ", "),
            joined(shards, ", "),
            repetitions,
            warmUps,
            blockTokens,
            keyValueType,
            seed);
  }

  private static String joined(List<?> values, String separator) {
    return values.stream().map(Object::toString).collect(Collectors.joining(separator));
  }
}

package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.QueryTables.Order;
import io.sparkattention.driver.QueryTables.Range;
import io.sparkattention.driver.exchange.StreamedReduce;
import io.sparkattention.driver.io.ParquetInput;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Queries from a table of their own have the bits that they have among all queries of their
 * sequence.
 */
class QueriesTest {
  private static final HeadLayout LAYOUT = new HeadLayout(4, 2, 20, 12);
  private static final int BLOCK_TOKENS = 64;

  /** Of several blocks, of one and a bit, and of a single token; each with a query for each key. */
  private static final Map<String, RandomSequence> SEQUENCES =
      Map.of(
          "a", RandomSequence.of(71, LAYOUT, 700, 700),
          "b", RandomSequence.of(72, LAYOUT, 70, 70),
          "c", RandomSequence.of(73, LAYOUT, 1, 1));

  /** From the middle of a block into the one after the next; all; all. */
  private static final Map<String, Range> RANGES =
      Map.of("a", new Range(290, 390, 0), "b", new Range(0, 70, 0), "c", new Range(0, 1, 0));

  @TempDir private static Path folder;
  private static QueryTables tables;
  private static Path queries;

  @BeforeAll
  static void writeQueries() {
    tables = new QueryTables(LocalSession.get());
    queries = folder.resolve("queries");
    tables.writeQueries(queries, SEQUENCES, RANGES);
  }

  private static Path keys(int files, Order order) {
    Path keys = folder.resolve("keys" + files + order);
    if (!keys.toFile().exists()) {
      tables.writeKeys(keys, files, order, SEQUENCES);
    }
    return keys;
  }

  private static Map<Key, String> options(String mask, String exchange, int shards) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, mask);
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.SHARDS, Integer.toString(shards));
    options.put(Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS));
    options.put(Key.NUM_HEADS, "4");
    options.put(Key.NUM_KV_HEADS, "2");
    return options;
  }

  /** What the queries have among all queries of their sequences, computed by one thread. */
  private static List<Attended> expected(AttentionMask mask, Map<String, Range> ranges) {
    List<Attended> expected = new ArrayList<>();
    new TreeMap<>(SEQUENCES)
        .forEach(
            (id, sequence) ->
                expected.add(
                    QueryTables.part(
                        sequence, sequence.alone(mask, BLOCK_TOKENS), ranges.get(id))));
    return expected;
  }

  private static void assertSame(List<Attended> sequences, List<Attended> expected) {
    assertThat(sequences).hasSameSizeAs(expected);
    for (int s = 0; s < expected.size(); s++) {
      sequences.get(s).assertSameBits(expected.get(s), "sequence " + s + " of " + SEQUENCES);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "full, ring, 1",
    "full, reduce, 2",
    "causal, ring, 3",
    "causal, reduce, 3",
    "'sliding-window:100,20', ring, 2",
    "'sliding-window:100,20', reduce, 5",
    "sliding-window:3 | global:1, ring, 5",
    "sliding-window:3 | global:1, reduce, 1",
    "'causal & block-top-k:2,32', ring, 2",
    "'causal & block-top-k:2,32', reduce, 2"
  })
  void positionsMeetTheMaskAsTheyAre(String mask, String exchange, int shards) {
    List<Attended> attended =
        tables.attend(keys(2, Order.BY_POSITION), queries, options(mask, exchange, shards));
    if (mask.contains("top-k")) {
      // No formula here: what one table with all queries gives.
      assertSame(
          attended, tables.attend(keys(1, Order.SHUFFLED), queries, options(mask, "ring", 1)));
    } else {
      assertSame(attended, expected(AttentionMask.parse(mask), RANGES));
    }
  }

  @ParameterizedTest
  @EnumSource
  void anyOrderOfKeysHasTheSameBits(Order order) {
    List<Attended> expected = expected(AttentionMask.causal(), RANGES);
    for (String exchange : new String[] {"ring", "reduce"}) {
      for (int files : new int[] {1, 5}) {
        assertSame(
            tables.attend(keys(files, order), queries, options("causal", exchange, 3)), expected);
      }
    }
  }

  /** Behind the last key every key is in the past; in front of the first block nothing stands. */
  @ParameterizedTest
  @ValueSource(strings = {"ring", "reduce"})
  void queriesMayStandBehindAllKeys(String exchange) {
    long far = 1L << 50;
    Map<String, Range> ranges =
        Map.of(
            "a", new Range(0, 100, 700),
            "b", new Range(3, 5, far),
            "c", new Range(0, 1, 1));
    Path behind = folder.resolve("behind" + exchange);
    tables.writeQueries(behind, SEQUENCES, ranges);
    List<Attended> expected = expected(AttentionMask.full(), ranges);
    Path keys = keys(3, Order.BY_POSITION);
    assertSame(tables.attend(keys, behind, options("causal", exchange, 2)), expected);
    assertSame(tables.attend(keys, behind, options("full", exchange, 3)), expected);
  }

  @Test
  void anAlignmentThatPositionsContradictIsRefused() {
    Map<Key, String> options = options("causal", "ring", 1);
    options.put(Key.CAUSAL_ALIGNMENT, "bottom-right");
    Path keys = keys(1, Order.SHUFFLED);
    assertThatThrownBy(() -> tables.attend(keys, queries, options))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot align the queries of sequence 'a' in '%s' bottom-right: found positions from 290"
                + " on, expected them from 600 on, since tables compare positions directly; number"
                + " them so or leave out --causal-alignment",
            queries);
  }

  /**
   * A sequence of 150 keys in blocks of 64, one position missing and one double: in the block that
   * comes first is found what is wrong, although the doubled row lies in a file of its own and the
   * task that reads the other has its block whole.
   */
  @ParameterizedTest
  @CsvSource({"140, 10, found 10 twice", "10, 140, found none at 10"})
  void aPositionTwiceIsFoundWhereverItsRowsLie(int missing, int twice, String found) {
    RandomSequence sequence = RandomSequence.of(74, LAYOUT, 150, 150);
    List<Integer> rest = new ArrayList<>(IntStream.range(0, 150).boxed().toList());
    rest.remove(missing);
    Path keys = folder.resolve("twice" + twice);
    tables.writeKeys(keys, "a", sequence, List.of(rest, List.of(twice)));
    Path one = folder.resolve("one" + twice);
    tables.writeQueries(one, Map.of("a", sequence), Map.of("a", new Range(0, 1, 0)));
    assertThatThrownBy(() -> tables.attend(keys, one, options("full", "reduce", 1)))
        .rootCause()
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Invalid positions of sequence 'a' in '%s': %s, expected each position once; number its"
                + " rows without gaps",
            keys, found);
  }

  @Test
  void fewQueriesMeetKeysWhereTheyAreRead() {
    assertThat(streams(options("causal", "reduce", 2))).isTrue();
    assertThat(streams(options("causal", "ring", 2))).isFalse();
    assertThat(streams(options("causal & block-top-k:2,32", "reduce", 2))).isFalse();
    Map<Key, String> scores = options("causal", "reduce", 2);
    scores.put(Key.SCORES_OUTPUT, "0");
    assertThat(streams(scores)).isFalse();
  }

  private static boolean streams(Map<Key, String> options) {
    AttentionConfig config =
        AttentionConfig.resolve(options, LocalSession.get().sparkContext().conf());
    ParquetInput input =
        ParquetInput.open(
            LocalSession.get(), keys(1, Order.SHUFFLED).toString(), queries.toString(), config);
    AttentionPlan plan = new DistributedAttention(LocalSession.get()).plan(input, config);
    return StreamedReduce.suits(plan, input);
  }
}

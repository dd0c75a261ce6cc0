package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.QueryTables.Order;
import io.sparkattention.driver.QueryTables.Range;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
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
    assertThat(catchThrowable(() -> tables.attend(keys, queries, options)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot align the queries of sequence 'a' in '%s' bottom-right: found positions from 290"
                + " on, expected them from 600 on, since tables compare positions directly; number"
                + " them so or leave out --causal-alignment",
            queries);
  }
}

package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.CausalAlignment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What attention must do whatever its numbers are. */
class AttentionPropertiesTest {
  private static final HeadLayout LAYOUT = new HeadLayout(2, 1, 24, 40);
  private static final int TOKENS = 200;

  /** Two runs that are each within 2e-6 of the exact result. */
  private static final double TOLERANCE = 4e-6;

  private final AttentionFiles files = new AttentionFiles(LocalSession.get());
  @TempDir private Path folder;
  private int runs;

  private Attended attend(RandomSequence sequence, String mask, String alignment) {
    Path in = folder.resolve("in" + runs + AttentionFiles.SAFETENSORS);
    Path out = folder.resolve("out" + runs++ + AttentionFiles.SAFETENSORS);
    files.writeTensors(in, DataType.F32, 4, List.of(sequence));
    files.attend(
        in,
        out,
        Map.of(
            Key.MASK,
            mask,
            Key.CAUSAL_ALIGNMENT,
            alignment,
            Key.BLOCK_TOKENS,
            "32",
            Key.SHARDS,
            "3"));
    return files.readTensors(out, LAYOUT).get(0);
  }

  /** The output and log-sum-exp of one query, all heads, as bits. */
  private static List<Integer> row(Attended attended, int query) {
    int queries = attended.logSumExp().length / LAYOUT.numHeads();
    List<Integer> bits = new ArrayList<>();
    for (int head = 0; head < LAYOUT.numHeads(); head++) {
      int index = head * queries + query;
      for (int c = 0; c < LAYOUT.valueDim(); c++) {
        bits.add(Float.floatToRawIntBits(attended.output()[index * LAYOUT.valueDim() + c]));
      }
      bits.add(Float.floatToRawIntBits(attended.logSumExp()[index]));
    }
    return bits;
  }

  /** Positions within a block, at its edges, and the ends of the sequence. */
  @ParameterizedTest
  @ValueSource(ints = {0, 31, 32, 100, TOKENS - 1})
  void aCausalRowSeesNothingOfTheFuture(int changed) {
    RandomSequence sequence = RandomSequence.of(101, LAYOUT, TOKENS, TOKENS);
    RandomSequence other = sequence.copy();
    Random random = new Random(102);
    for (int d = 0; d < LAYOUT.keyDim(); d++) {
      other.key()[changed * LAYOUT.keyDim() + d] = (float) random.nextGaussian();
    }
    for (int c = 0; c < LAYOUT.valueDim(); c++) {
      other.value()[changed * LAYOUT.valueDim() + c] = (float) random.nextGaussian();
    }
    for (int head = 0; head < LAYOUT.numHeads(); head++) {
      other.query()[(head * TOKENS + changed) * LAYOUT.keyDim()] += 1;
    }
    Attended before = attend(sequence, "causal", "top-left");
    Attended after = attend(other, "causal", "top-left");
    for (int query = 0; query < changed; query++) {
      assertThat(row(after, query)).as("row %d, %s", query, sequence).isEqualTo(row(before, query));
    }
    assertThat(row(after, changed)).as("%s", sequence).isNotEqualTo(row(before, changed));
  }

  /** Attention knows no positions: the order of keys with their values does not matter. */
  @Test
  void permutedKeysGiveTheSameValues() {
    RandomSequence sequence = RandomSequence.of(111, LAYOUT, TOKENS, TOKENS);
    List<Integer> order = new ArrayList<>(IntStream.range(0, TOKENS).boxed().toList());
    Collections.shuffle(order, new Random(112));
    RandomSequence permuted = sequence.copy();
    for (int i = 0; i < TOKENS; i++) {
      copyRow(sequence.key(), order.get(i), permuted.key(), i, LAYOUT.keyDim());
      copyRow(sequence.value(), order.get(i), permuted.value(), i, LAYOUT.valueDim());
    }
    assertClose(
        attend(permuted, "full", "top-left"), attend(sequence, "full", "top-left"), sequence);
  }

  /** And the order of the queries is that of the output, to the bit. */
  @Test
  void permutedQueriesPermuteTheOutput() {
    RandomSequence sequence = RandomSequence.of(121, LAYOUT, TOKENS, TOKENS);
    List<Integer> order = new ArrayList<>(IntStream.range(0, TOKENS).boxed().toList());
    Collections.shuffle(order, new Random(122));
    RandomSequence permuted = sequence.copy();
    for (int head = 0; head < LAYOUT.numHeads(); head++) {
      for (int i = 0; i < TOKENS; i++) {
        int from = head * TOKENS + order.get(i);
        copyRow(sequence.query(), from, permuted.query(), head * TOKENS + i, LAYOUT.keyDim());
      }
    }
    Attended expected = attend(sequence, "full", "top-left");
    Attended found = attend(permuted, "full", "top-left");
    for (int i = 0; i < TOKENS; i++) {
      assertThat(row(found, i)).as("%s", sequence).isEqualTo(row(expected, order.get(i)));
    }
  }

  private static void copyRow(float[] from, int fromRow, float[] to, int toRow, int width) {
    System.arraycopy(from, fromRow * width, to, toRow * width, width);
  }

  private static void assertClose(Attended found, Attended expected, RandomSequence sequence) {
    for (int i = 0; i < found.output().length; i++) {
      assertThat((double) found.output()[i])
          .as("output[%d], %s", i, sequence)
          .isCloseTo(expected.output()[i], within(TOLERANCE));
    }
  }

  /** The weights of a row sum to 1. */
  @Test
  void constantValuesStayConstant() {
    RandomSequence sequence = RandomSequence.of(131, LAYOUT, TOKENS, TOKENS);
    Arrays.fill(sequence.value(), 1.75f);
    for (float output : attend(sequence, "sliding-window:40,3", "top-left").output()) {
      assertThat((double) output).as("%s", sequence).isCloseTo(1.75, within(TOLERANCE));
    }
  }

  /** 30 queries more than keys: aligned at the end, the first 30 stand before all keys. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "causal; bottom-right; 30",
        "documents:40,90; bottom-right; 30",
        "sinks:9 & documents:50,60; top-left; 150",
        "causal & block-sparse:30,1-3,2-0,5-4; top-left; 140",
        "sliding-window:9 & sinks:0; top-left; 200"
      })
  void rowsThatSeeNoKeyAreZero(String text, String alignment, int blind) {
    int keys = TOKENS - 30;
    RandomSequence sequence = RandomSequence.of(141, LAYOUT, TOKENS, keys);
    Attended attended = attend(sequence, text, alignment);
    AttentionMask mask = AttentionMask.parse(text);
    long offset = CausalAlignment.parse(alignment).offset(TOKENS, keys);
    int found = 0;
    for (int query = 0; query < TOKENS; query++) {
      Block row = new Block(0, query, query + 1L);
      boolean seesNone = mask.visiblePairs(row, new Block(0, 0, keys), offset) == 0;
      found += seesNone ? 1 : 0;
      for (int head = 0; head < LAYOUT.numHeads(); head++) {
        assertRow(attended, head * TOKENS + query, seesNone, sequence);
      }
    }
    assertThat(found).isEqualTo(blind);
  }

  private static void assertRow(
      Attended attended, int index, boolean seesNone, RandomSequence sequence) {
    float[] output =
        Arrays.copyOfRange(
            attended.output(), index * LAYOUT.valueDim(), (index + 1) * LAYOUT.valueDim());
    float logSumExp = attended.logSumExp()[index];
    if (seesNone) {
      assertThat(Attended.bits(output)).as("%s", sequence).containsOnly(0);
      assertThat(logSumExp).isEqualTo(Float.NEGATIVE_INFINITY);
    } else {
      assertThat(output).as("%s", sequence).doesNotContain(0f);
      assertThat(logSumExp).isFinite();
    }
  }
}

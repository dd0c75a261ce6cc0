package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BlockGateTest {
  private static final HeadLayout LAYOUT = new HeadLayout(4, 2, 20, 8);

  @ParameterizedTest
  @CsvSource({"31, 1, 3", "700, 5, 7", "100, 9, 1", "64, 100, 4"})
  void choosesTheLargestProducts(int blocks, int count, int rows) {
    long seed = 20261210L + blocks;
    Random random = new Random(seed);
    AttentionCase c = new AttentionCase(LAYOUT, rows, 1, seed);
    float[] means = AttentionCase.normal(random, LAYOUT.numKeyValueHeads() * blocks * 20);
    BlockGate gate = new BlockGate(LAYOUT, blocks, means);
    int words = gate.wordsPerRow();
    long[] candidates = random.longs((long) rows * words).toArray();
    int[] own = random.ints(rows, -1, blocks).toArray();
    QueryBlock queries = c.queryBlock(0, rows);
    long[] chosen = gate.choose(new ScalarAttentionKernel(), queries, count, candidates, own);
    assertThat(gate.choose(new VectorAttentionKernel(), queries, count, candidates, own))
        .containsExactly(chosen);

    for (int head = 0; head < LAYOUT.numHeads(); head++) {
      for (int row = 0; row < rows; row++) {
        int query = (head * rows + row) * 20;
        int first = LAYOUT.keyValueHead(head) * blocks;
        int itsOwn = own[row];
        int itsRow = row;
        List<Integer> expected =
            IntStream.range(0, blocks)
                .filter(block -> isSet(candidates, itsRow * words, block))
                .boxed()
                .sorted(
                    Comparator.comparingDouble(
                        block ->
                            block == itsOwn
                                ? Double.NEGATIVE_INFINITY
                                : -dot(c.query, query, means, (first + block) * 20)))
                .limit(count)
                .sorted()
                .toList();
        int index = (head * rows + row) * words;
        assertThat(IntStream.range(0, blocks).filter(b -> isSet(chosen, index, b)).boxed().toList())
            .as("seed %d, head %d, row %d", seed, head, row)
            .isEqualTo(expected);
      }
    }
  }

  /** In the kernel's order and precision, so that near ties are the same. */
  private static double dot(float[] query, int from, float[] mean, int start) {
    float sum = 0;
    for (int d = 0; d < 20; d++) {
      sum = Math.fma(query[from + d], mean[start + d], sum);
    }
    return sum;
  }

  private static boolean isSet(long[] bits, int first, int index) {
    return (bits[first + index / 64] >>> index & 1) != 0;
  }

  @Test
  void ofEqualProductsTheEarlierBlockIsChosen() {
    BlockGate gate = new BlockGate(LAYOUT, 9, new float[2 * 9 * 20]);
    QueryBlock queries = new AttentionCase(LAYOUT, 1, 1, 1).queryBlock(0, 1);
    long[] chosen =
        gate.choose(
            new VectorAttentionKernel(), queries, 3, new long[] {0b111011010}, new int[] {7});
    assertThat(chosen).containsOnly(0b010001010);
  }

  @Test
  void meansAreThoseOfTheStoredKeys() {
    AttentionCase c = new AttentionCase(LAYOUT, 1, 150, 3);
    for (ElementType type : ElementType.values()) {
      float[] means = c.keyValueBlock(0, 150, type).meanKeys(40);
      assertThat(means).hasSize(2 * 4 * 20);
      for (int i = 0; i < means.length; i++) {
        int head = i / 80;
        int stretch = i / 20 % 4;
        int to = Math.min(150, 40 * stretch + 40);
        double sum = 0;
        for (int row = 40 * stretch; row < to; row++) {
          sum += Panels.zeros(type, 1).put(0, c.key[(head * 150 + row) * 20 + i % 20]);
        }
        assertThat(means[i]).isEqualTo((float) (sum / (to - 40 * stretch)));
      }
    }
  }
}

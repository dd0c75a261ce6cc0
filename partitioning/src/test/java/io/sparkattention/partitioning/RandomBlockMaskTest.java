package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class RandomBlockMaskTest {

  private static RandomBlockMask mask(int count, long seed, long keyBlocks) {
    return new RandomBlockMask(count, seed, 64, keyBlocks);
  }

  @Test
  void drawsDistinctBlocksOfItsRangeInOrder() {
    for (int count : new int[] {1, 3, 20, 1024}) {
      for (long block = 0; block < 100; block++) {
        assertDrawn(mask(count, 5, 0).keyBlocks(block), count, block + 1);
        assertDrawn(mask(count, 5, 30).keyBlocks(block), count, 30);
      }
    }
  }

  private static void assertDrawn(long[] drawn, int count, long range) {
    assertThat(drawn).hasSize((int) Math.min(count, range)).isSorted().doesNotHaveDuplicates();
    assertThat(drawn[0]).isNotNegative();
    assertThat(drawn[drawn.length - 1]).isLessThan(range);
  }

  /** What was drawn once stays: another draw would be another result for the same input. */
  @Test
  void drawsTheSameOnEveryMachine() {
    assertThat(mask(3, 42, 0).keyBlocks(1000)).containsExactly(45, 940, 975);
    assertThat(mask(4, 0, 1L << 54).keyBlocks(0))
        .containsExactly(
            1479425729025183L, 9512906204019666L, 12024485973083946L, 14638350913647707L);
  }

  @Test
  void drawsAllBlocksEquallyOften() {
    int range = 10;
    int blocks = 20_000;
    for (long seed = 0; seed < 3; seed++) {
      int[] drawn = new int[range];
      for (long block = 0; block < blocks; block++) {
        Arrays.stream(mask(3, seed, range).keyBlocks(block)).forEach(key -> drawn[(int) key]++);
      }
      double deviation = Math.sqrt(blocks * 0.3 * 0.7);
      for (int count : drawn) {
        assertThat((double) count).isCloseTo(blocks * 0.3, within(5 * deviation));
      }
    }
  }

  @Test
  void drawsOthersForAnotherSeedOrBlock() {
    long[][] draws =
        LongStream.range(0, 1000)
            .mapToObj(i -> mask(2, i / 100, 1 << 20).keyBlocks(i % 100))
            .toArray(long[][]::new);
    assertThat(Arrays.stream(draws).map(Arrays::toString)).doesNotHaveDuplicates();
  }
}

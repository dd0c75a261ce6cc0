package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class BlockWorkTest {

  static List<MaskOracle> masks() {
    return MaskOracle.all();
  }

  @ParameterizedTest
  @MethodSource("masks")
  void countsAgainstTheWholeOtherSideOfTheSequence(MaskOracle oracle) {
    BlockGrid grid = new BlockGrid(3);
    long[] offsets = {0, 2, -3, 1};
    List<Block> queries = new ArrayList<>(grid.blocks(0, 0, 10));
    queries.addAll(grid.blocks(1, 4, 7));
    queries.addAll(grid.blocks(2, 0, 5));
    List<Block> keys = new ArrayList<>(grid.blocks(0, 0, 10));
    keys.addAll(grid.blocks(1, 0, 12));
    keys.addAll(grid.blocks(3, 0, 4));
    long[] queryWork = BlockWork.queryWork(oracle.mask(), offsets, queries, keys);
    long[] keyWork = BlockWork.keyWork(oracle.mask(), offsets, queries, keys);
    for (int i = 0; i < queryWork.length; i++) {
      Block query = queries.get(i);
      assertThat(queryWork[i])
          .isEqualTo(
              keys.stream()
                  .mapToLong(key -> oracle.visiblePairs(query, key, offsets[query.sequence()]))
                  .sum());
    }
    for (int i = 0; i < keyWork.length; i++) {
      Block key = keys.get(i);
      assertThat(keyWork[i])
          .isEqualTo(
              queries.stream()
                  .mapToLong(query -> oracle.visiblePairs(query, key, offsets[key.sequence()]))
                  .sum());
    }
    assertThat(Arrays.stream(queryWork).sum()).isEqualTo(Arrays.stream(keyWork).sum());
  }

  @Test
  void causalQueriesGrowHeavierAndKeysLighter() {
    List<Block> blocks = new BlockGrid(2).blocks(0, 0, 6);
    AttentionMask causal = AttentionMask.causal();
    assertThat(BlockWork.queryWork(causal, new long[1], blocks, blocks)).containsExactly(3, 7, 11);
    assertThat(BlockWork.keyWork(causal, new long[1], blocks, blocks)).containsExactly(11, 7, 3);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "causal & documents:50000,1,200000,333333",
        "bigbird:192,64,3,7",
        "bigbird:192,64,3,7,64,15625",
        "causal & bigbird:192,64,3,7"
      })
  void countsAMillionTokensQuickly(String text) {
    AttentionMask mask = AttentionMask.parse(text);
    List<Block> blocks = new BlockGrid(2048).blocks(0, 0, 1_000_000);
    Assertions.assertTimeout(
        Duration.ofSeconds(4),
        () ->
            assertThat(Arrays.stream(BlockWork.queryWork(mask, new long[1], blocks, blocks)).sum())
                .isEqualTo(
                    Arrays.stream(BlockWork.keyWork(mask, new long[1], blocks, blocks)).sum()));
  }
}

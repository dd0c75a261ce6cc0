package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;

class BlockGridTest {

  @Test
  void cutsAtMultiplesOfTheBlockSizeWhereverTheFirstPositionLies() {
    assertThat(new BlockGrid(4).blocks(7, 6, 8))
        .containsExactly(new Block(7, 6, 8), new Block(7, 8, 12), new Block(7, 12, 14));
  }

  @Test
  void keepsAShortRangeInsideOneBlockWhole() {
    assertThat(new BlockGrid(4).blocks(0, 5, 2)).containsExactly(new Block(0, 5, 7));
  }

  @Test
  void coversEveryPositionOnceAndNeverCrossesALine() {
    for (int blockTokens = 1; blockTokens <= 5; blockTokens++) {
      BlockGrid grid = new BlockGrid(blockTokens);
      for (int first = 0; first <= 7; first++) {
        for (int tokens = 0; tokens <= 12; tokens++) {
          long expected = first;
          for (Block block : grid.blocks(3, first, tokens)) {
            assertThat(block.sequence()).isEqualTo(3);
            assertThat(block.start()).isEqualTo(expected);
            assertThat(grid.index(block.start())).isEqualTo(grid.index(block.end() - 1));
            expected = block.end();
          }
          assertThat(expected).isEqualTo(first + tokens);
        }
      }
    }
  }

  @Test
  void cutsAPartOfASequenceAsItCutsTheWhole() {
    BlockGrid grid = new BlockGrid(4);
    List<Block> whole = grid.blocks(0, 0, 20);
    assertThat(grid.blocks(0, 8, 12)).isEqualTo(whole.subList(2, 5));
  }

  @Test
  void reachesPositionsBeyondAnInt() {
    assertThat(new BlockGrid(2048).blocks(0, (1L << 50) - 1, 2))
        .containsExactly(
            new Block(0, (1L << 50) - 1, 1L << 50), new Block(0, 1L << 50, (1L << 50) + 1));
  }

  @Test
  void refusesSizesThatAreNone() {
    assertThatThrownBy(() -> new BlockGrid(0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid block size: 0 tokens (expected >= 1)");
    assertThatThrownBy(() -> new BlockGrid(4).blocks(0, 0, -1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid length: -1 tokens (expected >= 0)");
  }
}

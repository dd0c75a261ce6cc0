package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class BlockTopKMaskTest {
  private static final Block QUERIES = new Block(0, 20, 25);
  private static final Block KEYS = new Block(0, 8, 30);

  /** The visible keys of each row as text, one character per key. */
  private static String[] show(String mask, BlockSelection selection) {
    long[] words = new long[QUERIES.tokens()];
    if (selection == null) {
      AttentionMask.parse(mask).visible(QUERIES, KEYS, 0, words);
    } else {
      AttentionMask.parse(mask).visible(QUERIES, KEYS, 0, words, selection);
    }
    String[] rows = new String[words.length];
    for (int row = 0; row < rows.length; row++) {
      StringBuilder text = new StringBuilder();
      for (int key = 0; key < KEYS.tokens(); key++) {
        text.append((words[row] >>> key & 1) != 0 ? 'x' : '.');
      }
      rows[row] = text.toString();
    }
    return rows;
  }

  @Test
  void showsTheChosenBlocksWithinTheRestOfTheMask() {
    // Blocks of 4: keys 8 to 29 are of blocks 2 to 7.
    BlockSelection selection = (row, block) -> block == 2 + row || block == 7;
    assertThat(show("block-top-k:2,4", selection))
        .containsExactly(
            "xxxx................xx",
            "....xxxx............xx",
            "........xxxx........xx",
            "............xxxx....xx",
            "................xxxxxx");
    assertThat(show("causal & (sinks:9 | block-top-k:2,4)", selection))
        .containsExactly(
            "xxxx..................",
            "x...xxxx..............",
            "x.......xxxx..........",
            "x...........xxxx......",
            "x...............x.....");
  }

  @Test
  void withoutASelectionAllCouldBeChosen() {
    assertThat(show("causal & block-top-k:1,4", null)).containsExactly(show("causal", null));
    AttentionMask mask = AttentionMask.parse("causal & block-top-k:1,4");
    assertThat(mask.visiblePairs(QUERIES, KEYS, 0))
        .isEqualTo(AttentionMask.causal().visiblePairs(QUERIES, KEYS, 0));
    assertThat(mask.coverage(QUERIES, new Block(0, 0, 8), 0)).isEqualTo(Coverage.PARTIAL);
    assertThat(mask.coverage(QUERIES, new Block(0, 25, 30), 0)).isEqualTo(Coverage.EMPTY);
  }

  @Test
  void tellsWhatIsToBeChosen() {
    assertThat(AttentionMask.parse("causal&(sinks:4|block-top-k:8)").topK())
        .contains(new TopK(8, 512));
    assertThat(AttentionMask.parse("block-top-k:3,64").toString()).isEqualTo("block-top-k:3,64");
    assertThat(AttentionMask.causal().topK()).isEmpty();
  }

  @Test
  void refusesTwoSelectionsAndNone() {
    assertThatThrownBy(() -> AttentionMask.parse("block-top-k:3,64|block-top-k:4,64"))
        .isInstanceOf(InvalidMaskException.class)
        .hasMessageContaining(
            "two kinds of block top-k (expected one COUNT and SIZE in all of it)");
    assertThat(AttentionMask.parse("causal&block-top-k:3|block-top-k:3").topK()).isPresent();
    for (String wrong : new String[] {"block-top-k", "block-top-k:0", "block-top-k:1,0"}) {
      assertThatThrownBy(() -> AttentionMask.parse(wrong)).isInstanceOf(InvalidMaskException.class);
    }
    assertThatThrownBy(() -> AttentionMask.parse("block-top-k:70000"))
        .hasMessageContaining("70000 blocks of 512 tokens (expected 1 to 65536");
  }
}

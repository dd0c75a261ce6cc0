package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The pictures in the README are what the masks show. */
class MaskPicturesTest {

  private static final int TOKENS = 8;
  private static final int WIDTH = 26;

  private static final List<List<String>> MASKS =
      List.of(
          List.of("full", "causal", "sliding-window:3", "sliding-window:2,1"),
          List.of("dilated-window:6,2", "prefix:3", "documents:3,2", "global:1"),
          List.of("global-positions:2,5", "sinks:2", "block-sparse:2,0-0,1-2,3-3", "streaming:1,2"),
          List.of(
              "random-blocks:1,5,2,4",
              "bigbird:1,1,1,5,2,4",
              "causal & documents:3,2",
              "sinks:1 | documents:4"),
          List.of("causal & block-top-k:2,2"));

  @Test
  void theReadmeShowsEachKind() throws Exception {
    StringBuilder pictures = new StringBuilder();
    for (List<String> masks : MASKS) {
      pictures.append(line(masks));
      for (int row = 0; row < TOKENS; row++) {
        int query = row;
        pictures.append(line(masks.stream().map(mask -> row(mask, query)).toList()));
      }
      pictures.append('\n');
    }
    assertThat(Files.readString(Path.of("README.md"))).contains(pictures.toString().strip());
  }

  private static String line(List<String> parts) {
    StringBuilder line = new StringBuilder();
    parts.forEach(part -> line.append(part).append(" ".repeat(WIDTH + 2 - part.length())));
    return line.toString().stripTrailing() + "\n";
  }

  private static String row(String mask, int query) {
    Block keys = new Block(0, 0, TOKENS);
    long[] words = new long[1];
    // As if the queries of block b chose it and block b / 2.
    int own = query / 2;
    BlockSelection selection = (row, block) -> block == own || block == own / 2;
    AttentionMask.parse(mask).visible(new Block(0, query, query + 1L), keys, 0, words, selection);
    StringBuilder row = new StringBuilder();
    for (int key = 0; key < TOKENS; key++) {
      row.append((words[0] >>> key & 1) == 1 ? "# " : ". ");
    }
    return row.toString().strip();
  }
}

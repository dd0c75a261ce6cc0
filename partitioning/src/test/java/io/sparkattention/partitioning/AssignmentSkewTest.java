package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The largest work of a rank over the mean, where ranks own at least eight blocks on average; the
 * table in the README is what this test measures.
 */
class AssignmentSkewTest {
  private static final int BLOCK_TOKENS = 2048;
  private static final int[] RANKS = {2, 3, 7, 16, 64};

  /** Blocks per rank; 9 is odd, and 8.5 and 11.3 most ring sizes do not divide. */
  private static final double[] BLOCKS_PER_RANK = {8, 8.5, 9, 11.3};

  @Test
  void theReadmeShowsTheLargestSkewOfEachKindOfMaskAndDataset() throws Exception {
    StringBuilder table = new StringBuilder();
    table.append(
        "| mask, tokens | contiguous | zigzag | striped | balanced |\n|---|---|---|---|---|\n");
    Map<String, Double> balanced = new LinkedHashMap<>();
    for (String name : masks(1).keySet()) {
      double[] worst = new double[BlockAssignment.values().length];
      for (int ringSize : RANKS) {
        for (double blocksPerRank : BLOCKS_PER_RANK) {
          // The last block is short, as in most data.
          long tokens = (long) Math.ceil(blocksPerRank * ringSize * BLOCK_TOKENS) + 100;
          AttentionMask mask = AttentionMask.parse(masks(tokens).get(name));
          measure(mask, List.of(tokens), ringSize, worst);
        }
      }
      addRow("`" + name.replace("|", "\\|") + "`", worst, table, balanced);
    }
    for (String mask : List.of("full", "causal", "sliding-window:4095")) {
      double[] worst = new double[BlockAssignment.values().length];
      for (int ringSize : RANKS) {
        measure(AttentionMask.parse(mask), mixed(), ringSize, worst);
      }
      addRow("`" + mask + "`, 1 × 100,000 and 1,000 × 1 to 2,000", worst, table, balanced);
    }
    System.out.println(table);
    balanced.forEach((name, skew) -> assertThat(skew).as(name).isLessThanOrEqualTo(1.10));
    assertThat(Files.readString(Path.of("README.md"))).contains(table);
  }

  /** Raises each assignment's figure to its skew on that input. */
  private static void measure(
      AttentionMask mask, List<Long> lengths, int ringSize, double[] worst) {
    List<Block> blocks = blocks(lengths, BLOCK_TOKENS);
    long[] offsets = new long[lengths.size()];
    long[] work = BlockWork.queryWork(mask, offsets, blocks, blocks);
    List<Block> cut = BlockWork.cutHeavy(mask, offsets, blocks, blocks, ringSize);
    long[] cutWork = BlockWork.queryWork(mask, offsets, cut, blocks);
    for (BlockAssignment assignment : BlockAssignment.values()) {
      boolean level = assignment == BlockAssignment.BALANCED;
      int i = assignment.ordinal();
      worst[i] = Math.max(worst[i], assignment.skew(level ? cutWork : work, ringSize));
    }
  }

  private static void addRow(
      String name, double[] worst, StringBuilder table, Map<String, Double> balanced) {
    table.append("| ").append(name).append(" |");
    Arrays.stream(worst).forEach(skew -> table.append(" %.3f |".formatted(skew)));
    table.append('\n');
    balanced.put(name, worst[BlockAssignment.BALANCED.ordinal()]);
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 5, 7, 8, 16, 32, 100})
  void causalStaysWithinFivePercentFromEightBlocksPerRank(int ringSize) {
    double zigzag = 0;
    double balanced = 0;
    for (int blocks = 8 * ringSize; blocks <= 20 * ringSize; blocks++) {
      // Of a block of 100 tokens: the share of the last one, all of it first.
      for (int last : new int[] {100, 99, 75, 50, 30, 1}) {
        long tokens = 100L * (blocks - 1) + last;
        if (tokens >= 800L * ringSize) {
          List<Block> all = blocks(List.of(tokens), 100);
          long[] work = BlockWork.queryWork(AttentionMask.causal(), new long[1], all, all);
          zigzag = Math.max(zigzag, BlockAssignment.ZIGZAG.skew(work, ringSize));
          balanced = Math.max(balanced, BlockAssignment.BALANCED.skew(work, ringSize));
        }
      }
    }
    System.out.printf(
        "causal, %d ranks, 8 to 20 blocks per rank: zigzag %.3f, balanced %.3f%n",
        ringSize, zigzag, balanced);
    assertThat(zigzag).isLessThanOrEqualTo(1.05);
    assertThat(balanced).isLessThanOrEqualTo(1.05);
  }

  @Test
  void aCutKeepsPositionsAndWork() {
    AttentionMask mask = AttentionMask.parse("sliding-window:256,256 | global:64");
    List<Block> blocks = blocks(List.of(500L, 2048L * 300, 7L), BLOCK_TOKENS);
    long[] offsets = new long[3];
    List<Block> cut = BlockWork.cutHeavy(mask, offsets, blocks, blocks, 32);
    assertThat(cut).hasSizeGreaterThan(blocks.size());
    for (int i = 0; i < cut.size(); i++) {
      Block next = cut.get(i);
      Block previous = i == 0 ? new Block(0, 0, 1) : cut.get(i - 1);
      boolean first = i == 0 || next.sequence() > previous.sequence();
      assertThat(next.start()).isEqualTo(first ? 0 : previous.end());
    }
    assertThat(Arrays.stream(BlockWork.queryWork(mask, offsets, cut, blocks)).sum())
        .isEqualTo(Arrays.stream(BlockWork.queryWork(mask, offsets, blocks, blocks)).sum());
  }

  @Test
  void cutsNothingThatIsLevelOrSmall() {
    List<Block> blocks = blocks(List.of(2048L * 256), BLOCK_TOKENS);
    long[] offsets = new long[1];
    AttentionMask causal = AttentionMask.causal();
    assertThat(BlockWork.cutHeavy(causal, offsets, blocks, blocks, 32)).isEqualTo(blocks);
    AttentionMask global = AttentionMask.parse("global:64 | sliding-window:256");
    assertThat(BlockWork.cutHeavy(global, offsets, blocks, blocks, 33)).isEqualTo(blocks);
    // A single query is not cut, whatever it sees.
    AttentionMask one = AttentionMask.parse("global:1");
    assertThat(BlockWork.cutHeavy(one, offsets, blocks, blocks, 32)).contains(new Block(0, 0, 1));
  }

  /** One mask of each kind by the name it has in the table, with lists that fit the tokens. */
  private static Map<String, String> masks(long tokens) {
    long seed = 20_261_125;
    Random random = new Random(seed);
    long blocks = -(-tokens / 64);
    Map<String, String> masks = new LinkedHashMap<>();
    for (String mask :
        List.of(
            "full",
            "causal",
            "sliding-window:4095",
            "sliding-window:512,512",
            "dilated-window:65536,16",
            "prefix:1000",
            "sinks:4",
            "streaming:4,2047",
            "sliding-window:256,256 | global:64",
            "causal & random-blocks:3,7",
            "causal & block-top-k:8")) {
      masks.put(mask, mask);
    }
    masks.put("random-blocks:3,7,64,BLOCKS", "random-blocks:3,7,64," + blocks);
    masks.put("bigbird:192,64,3,7,64,BLOCKS", "bigbird:192,64,3,7,64," + blocks);
    masks.put("documents:LENGTH,…", "documents:" + lengths(random, tokens));
    masks.put("causal & documents:LENGTH,…", "causal & documents:" + lengths(random, tokens));
    masks.put(
        "sliding-window:256,256 | global-positions:POSITION,…",
        "sliding-window:256,256 | global-positions:" + positions(random, tokens));
    masks.put("block-sparse:512,QUERY-KEY,…", "block-sparse:512," + pairs(random, tokens));
    return masks;
  }

  private static String lengths(Random random, long tokens) {
    List<String> lengths = new ArrayList<>();
    for (long end = 0; end < tokens; ) {
      long length = 100 + random.nextInt(8000);
      lengths.add(Long.toString(length));
      end += length;
    }
    return String.join(",", lengths);
  }

  private static String positions(Random random, long tokens) {
    return String.join(
        ",",
        LongStream.range(0, Math.max(1, tokens / 2000))
            .map(i -> i * 2000 + random.nextInt(1000))
            .mapToObj(Long::toString)
            .toList());
  }

  private static String pairs(Random random, long tokens) {
    int blocks = (int) (tokens / 512) + 1;
    return String.join(
        ",",
        IntStream.range(0, 8 * blocks)
            .mapToObj(i -> i / 8 + "-" + random.nextInt(blocks))
            .distinct()
            .toList());
  }

  private static List<Long> mixed() {
    Random random = new Random(7);
    List<Long> lengths = new ArrayList<>();
    for (int i = 0; i < 1_000; i++) {
      lengths.add(1L + random.nextInt(2_000));
    }
    lengths.add(500, 100_000L);
    return lengths;
  }

  private static List<Block> blocks(List<Long> lengths, int blockTokens) {
    BlockGrid grid = new BlockGrid(blockTokens);
    List<Block> blocks = new ArrayList<>();
    for (int sequence = 0; sequence < lengths.size(); sequence++) {
      blocks.addAll(grid.blocks(sequence, 0, lengths.get(sequence)));
    }
    return blocks;
  }
}

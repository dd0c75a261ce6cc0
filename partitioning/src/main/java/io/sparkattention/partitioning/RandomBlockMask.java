package io.sparkattention.partitioning;

import java.util.Arrays;

/**
 * Each query block sees {@code count} distinct key blocks, drawn at random from a range of r
 * blocks: from key blocks 0 … keyBlocks − 1, or from its own block and those before it. Where the
 * range has no more than {@code count} blocks, all of it.
 *
 * <p>A mask knows no sequence's length, so that the range is its own; what is drawn is a pure
 * function of (seed, query block). Draws are without replacement and all sets equally likely
 * (Floyd's algorithm; Bentley and Floyd 1987, "A sample of brilliance"): for j = r − count … r − 1,
 * draw d in [0, j] and take d, or j where d is taken already. The draw is the upper half of the
 * product of j + 1 with 63 random bits, which are those of SplitMix64's finalizer over (seed, query
 * block, j).
 */
final class RandomBlockMask extends BlockMask {

  static final long DEFAULT_BLOCK_TOKENS = 64;

  /** A query block's draws are kept sorted by insertion; more than this is no sparse mask. */
  static final int MAX_COUNT = 1024;

  /** {@code keyBlocks} of a mask that draws from a query block's own and the earlier blocks. */
  static final long OWN_AND_EARLIER = 0;

  private static final long GOLDEN_RATIO = 0x9E3779B97F4A7C15L;

  private final int count;
  private final long seed;
  private final long keyBlocks;

  RandomBlockMask(long count, long seed, long blockTokens, long keyBlocks) {
    super(blockTokens);
    if (count < 1 || count > MAX_COUNT) {
      throw new IllegalArgumentException(
          "Invalid random blocks: " + count + " per query block (expected 1 to 1024)");
    }
    if (seed < 0) {
      throw new IllegalArgumentException(
          "Invalid random blocks: seed " + seed + " (expected >= 0)");
    }
    if (keyBlocks < 0 || keyBlocks > Block.MAX_POSITION / blockTokens) {
      throw new IllegalArgumentException(
          "Invalid random blocks: drawn from %d key blocks of %d tokens (expected positions up to 2^60)"
              .formatted(keyBlocks, blockTokens));
    }
    this.count = (int) count;
    this.seed = seed;
    this.keyBlocks = keyBlocks;
  }

  @Override
  public long namedEnd() {
    return keyBlocks == OWN_AND_EARLIER ? 0 : (keyBlocks - 1) * blockTokens + 1;
  }

  @Override
  long nextQueryBlock(long from) {
    return Math.max(0, from);
  }

  @Override
  long[] keyBlocks(long queryBlock) {
    long range = keyBlocks == OWN_AND_EARLIER ? queryBlock + 1 : keyBlocks;
    long[] drawn = new long[(int) Math.min(count, range)];
    long blockSeed = mix(mix(seed + GOLDEN_RATIO) + (queryBlock + 1) * GOLDEN_RATIO);
    for (int size = 0; size < drawn.length; size++) {
      long last = range - drawn.length + size;
      long bits = mix(blockSeed + (last + 1) * GOLDEN_RATIO) >>> 1;
      long draw = Math.multiplyHigh(bits, (last + 1) << 1);
      int found = Arrays.binarySearch(drawn, 0, size, draw);
      if (found >= 0) {
        // Larger than all that were drawn before: they are at most the last of an earlier range.
        drawn[size] = last;
      } else {
        int place = -found - 1;
        System.arraycopy(drawn, place, drawn, place + 1, size - place);
        drawn[place] = draw;
      }
    }
    return drawn;
  }

  /** The finalizer of SplitMix64 (Steele, Lea and Flood 2014): a bijection that mixes all bits. */
  private static long mix(long z) {
    long once = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    long twice = (once ^ (once >>> 27)) * 0x94D049BB133111EBL;
    return twice ^ (twice >>> 31);
  }

  @Override
  public String toString() {
    String text = "random-blocks:" + count + "," + seed + "," + blockTokens;
    return keyBlocks == OWN_AND_EARLIER ? text : text + "," + keyBlocks;
  }
}

package io.sparkattention.driver.exchange;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.kernels.HeadSlice;
import io.sparkattention.kernels.ScoreBias;
import io.sparkattention.kernels.VisibleKeys;
import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.util.Optional;

/**
 * A mask that lies with the input as a tensor, beside the mask of the plan. Travels to the tasks,
 * which read of it what the pair of blocks before them needs.
 */
public interface PairMask extends Serializable {
  /**
   * What it says of a pair of blocks of one sequence.
   *
   * @param heads those that are asked for; they count from 0 in what is said
   * @throws InvalidInputException if a number is not one that a mask may have; names sequence, head
   *     and position
   */
  Pair read(Block queries, Block keys, HeadSlice heads);

  /** Bytes that a task holds of it for a pair of blocks of so many tokens, at most. */
  double pairBytes(int blockTokens, HeadSlice heads);

  /** What a mask says of a pair of blocks. */
  final class Pair {
    private final long[] words;
    private final int heads;
    private final int rows;
    private final ScoreBias bias;

    /**
     * @param words [heads, query rows, words of a row]: the visible keys as in {@link VisibleKeys};
     *     not copied
     * @param heads all query heads, or 1 where they are alike
     * @param bias added to the scores; null: nothing
     */
    public Pair(long[] words, int heads, int rows, ScoreBias bias) {
      this.words = words;
      this.heads = heads;
      this.rows = rows;
      this.bias = bias;
    }

    /** Leaves only what another mask leaves, too, and keeps the bias. */
    Pair and(Pair other) {
      long[] both = new long[Math.max(words.length, other.words.length)];
      for (int i = 0; i < both.length; i++) {
        both[i] = words[i % words.length] & other.words[i % other.words.length];
      }
      return new Pair(both, Math.max(heads, other.heads), rows, bias);
    }

    /** Visible pairs of a query and a key, of all heads. */
    long visiblePairs(int numHeads) {
      long pairs = 0;
      for (long word : words) {
        pairs += Long.bitCount(word);
      }
      return heads == 1 ? pairs * numHeads : pairs;
    }

    /** Whether no query sees any key. */
    boolean isEmpty() {
      for (long word : words) {
        if (word != 0) {
          return false;
        }
      }
      return true;
    }

    VisibleKeys visible() {
      int wordsPerRow = words.length / heads / rows;
      return heads == 1
          ? VisibleKeys.ofBits(words, wordsPerRow)
          : VisibleKeys.ofHeadBits(words, rows, wordsPerRow);
    }

    Optional<ScoreBias> bias() {
      return Optional.ofNullable(bias);
    }
  }
}

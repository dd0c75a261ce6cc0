package io.sparkattention.partitioning;

import io.sparkattention.partitioning.CompositeMask.Operator;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Which keys a query sees, the same for all heads. The offset aligns queries with keys (see {@link
 * CausalAlignment}): the query at position p is compared with the keys as if it stood at p +
 * offset, its aligned position. Blocks of different sequences never see each other.
 *
 * <p>Masks are equal where their texts are. Offsets are at most {@link Block#MAX_POSITION} in
 * absolute value; a larger one is an {@link IllegalArgumentException}.
 */
public abstract sealed class AttentionMask implements Serializable
    permits IntervalMask, DilatedMask, GlobalMask, BlockMask, BlockTopKMask, CompositeMask {

  /** More than the arguments of a kind that takes no list. */
  private static final int SUMMARISED = 8;

  /** Every query sees every key; the offset does not matter. */
  public static AttentionMask full() {
    return BandMask.FULL;
  }

  /** A query sees the key it is aligned with and all keys before it. */
  public static AttentionMask causal() {
    return BandMask.CAUSAL;
  }

  /**
   * A query sees the key it is aligned with, {@code left} keys before it and {@code right} keys
   * after it. A side of 2^62 or more is unbounded: the window may then equal {@link #causal} or
   * {@link #full}.
   *
   * @throws IllegalArgumentException if a side is negative
   */
  public static AttentionMask slidingWindow(long left, long right) {
    if (left < 0 || right < 0) {
      throw new IllegalArgumentException(
          "Invalid sliding window: left " + left + ", right " + right + " (expected >= 0)");
    }
    return new BandMask(left, right);
  }

  /**
   * A query sees the keys of a sliding window whose distance from its aligned position is a
   * multiple of {@code step} (Longformer, Beltagy et al. 2020, arXiv:2004.05150).
   *
   * @throws IllegalArgumentException if a side is negative or the step is less than 1
   */
  public static AttentionMask dilatedWindow(long left, long step, long right) {
    if (left < 0 || right < 0 || step < 1) {
      throw new IllegalArgumentException(
          "Invalid dilated window: left %d, step %d, right %d (expected left, right >= 0, step >= 1)"
              .formatted(left, step, right));
    }
    return step == 1 ? new BandMask(left, right) : new DilatedMask(left, step, right);
  }

  /**
   * Prefix-LM: a query sees the first keys of its sequence, and all keys up to its aligned position
   * (T5, Raffel et al. 2020, arXiv:1910.10683). The offset does not move the prefix.
   *
   * @param tokens length of the prefix in keys
   */
  public static AttentionMask prefix(long tokens) {
    return new PrefixMask(checkTokens("prefix", tokens));
  }

  /**
   * Documents packed in one sequence: a query sees the keys of the document that its aligned
   * position lies in. Positions past the listed documents form a last one; an aligned position
   * before 0 lies in none.
   *
   * @param lengths in tokens, in the order of the documents
   */
  public static AttentionMask documents(long... lengths) {
    return new DocumentMask(lengths);
  }

  /**
   * The first tokens of a sequence are global: they see all keys and are seen by all queries
   * (Longformer, Beltagy et al. 2020, arXiv:2004.05150). A query is global where its aligned
   * position is.
   */
  public static AttentionMask global(long tokens) {
    return GlobalMask.first(checkTokens("global tokens", tokens));
  }

  /** As {@link #global}, of the tokens at these positions, in any order. */
  public static AttentionMask globalPositions(long... positions) {
    for (long position : positions) {
      if (position < 0 || position >= Block.MAX_POSITION) {
        throw new IllegalArgumentException(
            "Invalid global position: " + position + " (expected 0 <= position < 2^60)");
      }
    }
    return GlobalMask.at(positions);
  }

  /**
   * Every query sees the first keys of its sequence (attention sinks, Xiao et al. 2023,
   * arXiv:2309.17453); the offset does not matter.
   */
  public static AttentionMask sinks(long tokens) {
    return new SinkMask(checkTokens("sinks", tokens));
  }

  /**
   * Query blocks see the key blocks that a list pairs them with: a fixed pattern, or what top-k
   * selection chose. The blocks are the mask's own, on a grid from position 0; the query block is
   * that of the aligned position.
   *
   * @param blockTokens positions per block of the mask
   * @param queryBlocks query block of each pair, in any order
   * @param keyBlocks key block of each pair
   */
  public static AttentionMask blockSparse(long blockTokens, long[] queryBlocks, long[] keyBlocks) {
    return new BlockSparseMask(blockTokens, queryBlocks, keyBlocks);
  }

  /**
   * Query blocks see {@code count} key blocks each, drawn at random from their own and the earlier
   * blocks: a pure function of the seed and the query block, that of the aligned position. Where
   * there are no more than {@code count}, all of them.
   *
   * @param count at most 1024
   * @param seed at least 0
   * @param blockTokens positions per block of the mask, on a grid from position 0
   */
  public static AttentionMask randomBlocks(int count, long seed, long blockTokens) {
    return new RandomBlockMask(count, seed, blockTokens, RandomBlockMask.OWN_AND_EARLIER);
  }

  /** As the other, but drawn from the key blocks 0 … keyBlocks − 1. */
  public static AttentionMask randomBlocks(int count, long seed, long blockTokens, long keyBlocks) {
    return new RandomBlockMask(count, seed, blockTokens, keyBlocks);
  }

  /**
   * BigBird (Zaheer et al. 2020, arXiv:2007.14062): a window, the first tokens global, and random
   * blocks.
   *
   * @param window keys seen on each side
   * @param random of {@link #randomBlocks}
   */
  public static AttentionMask bigBird(long window, long global, AttentionMask random) {
    return union(slidingWindow(window, window), global(global), random);
  }

  /**
   * StreamingLLM (Xiao et al. 2023, arXiv:2309.17453): of the keys up to its own position, a query
   * sees the first of the sequence and the {@code window} ones before it.
   */
  public static AttentionMask streaming(long sinks, long window) {
    return intersection(causal(), union(sinks(sinks), slidingWindow(window, 0)));
  }

  /**
   * A query sees the key blocks whose mean key has the largest product with it, head by head: the
   * gate of MoBA (Lu et al. 2025, arXiv:2502.13189, equations 5 to 7). It chooses from the blocks
   * of which the rest of the mask shows it a key; its own block, that of its aligned position, is
   * always chosen then and counts. Of equal products the earlier block is chosen.
   *
   * <p>An approximation of full attention by its nature, and the one mask that depends on the
   * numbers: what depends on positions alone, {@link #coverage} and {@link #visiblePairs}, counts
   * what could be chosen.
   */
  public static AttentionMask blockTopK(TopK topK) {
    return new BlockTopKMask(topK);
  }

  /** A query sees the keys that it sees under any of the masks; there must be one. */
  public static AttentionMask union(AttentionMask... masks) {
    return CompositeMask.of(Operator.UNION, List.of(masks));
  }

  /** A query sees the keys that it sees under all of the masks; there must be one. */
  public static AttentionMask intersection(AttentionMask... masks) {
    return CompositeMask.of(Operator.INTERSECTION, List.of(masks));
  }

  private static long checkTokens(String what, long tokens) {
    if (tokens < 0 || tokens > Block.MAX_POSITION) {
      throw new IllegalArgumentException(
          "Invalid " + what + ": " + tokens + " tokens (expected 0 to 2^60)");
    }
    return tokens;
  }

  /**
   * Reads a mask; lists stand in the text.
   *
   * @see #parse(String, Function)
   */
  public static AttentionMask parse(String text) {
    return parse(
        text,
        name -> {
          throw new IllegalArgumentException(
              "Cannot read the list @" + name + " (expected the list itself)");
        });
  }

  /**
   * Reads one of
   *
   * <ul>
   *   <li>{@code full}, {@code causal}, {@code sliding-window:LEFT[,RIGHT]}, {@code
   *       dilated-window:LEFT,STEP[,RIGHT]}, {@code prefix:N}, {@code documents:LENGTH,…}, {@code
   *       global:N}, {@code global-positions:POSITION,…}, {@code sinks:N}, {@code
   *       block-sparse:SIZE,QUERY-KEY,…}, {@code random-blocks:COUNT,SEED[,SIZE[,BLOCKS]]}
   *   <li>{@code block-top-k:COUNT[,SIZE]}, with SIZE 512 where it is absent
   *   <li>{@code bigbird:WINDOW,N,COUNT,SEED[,SIZE[,BLOCKS]]} for {@code
   *       sliding-window:WINDOW,WINDOW | global:N | random-blocks:COUNT,SEED[,SIZE[,BLOCKS]]}
   *   <li>{@code streaming:N,WINDOW} for {@code causal & (sinks:N | sliding-window:WINDOW)}
   *   <li>{@code MASK | MASK} for the union, {@code MASK & MASK} for the intersection, which binds
   *       tighter, and parentheses; spaces around any of them
   * </ul>
   *
   * RIGHT is 0 where it is absent, SIZE 64 tokens; without BLOCKS random blocks are a query block's
   * own or earlier ones.
   *
   * @param lists gives the text of the list that {@code @NAME} stands for: its elements separated
   *     by commas, spaces or lines
   * @throws InvalidMaskException for any other text
   */
  public static AttentionMask parse(String text, Function<String, String> lists) {
    return new MaskParser(text, lists).parse();
  }

  /**
   * What the mask leaves of a pair of blocks. Of unions and intersections EMPTY and FULL are true,
   * but a PARTIAL pair may be either; of all others it is exact.
   */
  public final Coverage coverage(Block query, Block key, long offset) {
    return query.sequence() == key.sequence()
        ? coverage(Area.of(query, key, offset))
        : Coverage.EMPTY;
  }

  /**
   * The number of visible (query, key) pairs, exactly. Either block may be a whole sequence.
   *
   * @throws ArithmeticException if the count, or what it is computed from, exceeds a long
   */
  public final long visiblePairs(Block query, Block key, long offset) {
    return query.sequence() == key.sequence() ? visiblePairs(Area.of(query, key, offset)) : 0;
  }

  /**
   * The visible keys of each query as bits: bit j of word w of a row says that key row 64·w + j is
   * seen. Bits beyond the keys are 0.
   *
   * @param words [query.tokens(), {@link #wordsPerRow}], written whole; a longer array keeps its
   *     rest
   */
  public final void visible(Block query, Block key, long offset, long[] words) {
    visible(query, key, offset, words, Area.EVERY_BLOCK);
  }

  /** As the other, for the head whose queries chose these blocks; see {@link #topK}. */
  public final void visible(
      Block query, Block key, long offset, long[] words, BlockSelection selection) {
    Area area = Area.of(query, key, offset).under(selection);
    Arrays.fill(words, 0, area.words(), 0);
    if (query.sequence() == key.sequence()) {
      show(area, words);
    }
  }

  /** The number of words that hold a bit for each key. */
  public static int wordsPerRow(Block key) {
    return (int) (((long) key.tokens() + Long.SIZE - 1) / Long.SIZE);
  }

  /**
   * The visible keys of each query as one interval of local rows, where the mask's kind is one:
   * query row r sees the key rows [from[r], to[r]); one that sees none gets [0, 0). Shorter than
   * {@link #visible}, which every mask has.
   *
   * @param from written at [0, query.tokens())
   * @param to written at [0, query.tokens())
   * @return false, with nothing written, where queries may see more than one interval
   */
  public boolean intervals(Block query, Block key, long offset, int[] from, int[] to) {
    return false;
  }

  /** What {@link #blockTopK} in this mask asks for; empty: the mask is the same for all heads. */
  public Optional<TopK> topK() {
    return Optional.empty();
  }

  /** Whether rows see different numbers of keys by design: of every mask but {@link #full}. */
  public boolean unequalWork() {
    return true;
  }

  /**
   * One past the last position at which something begins that the mask names: a listed document,
   * position or block, or the last block that random ones are drawn from. A sequence that ends
   * before it is not the one that the mask was written for. 0 where the mask names nothing so;
   * widths and the first N tokens may exceed a sequence.
   */
  public long namedEnd() {
    return 0;
  }

  abstract Coverage coverage(Area area);

  abstract long visiblePairs(Area area);

  /** Sets the bits of the visible pairs and keeps all others. */
  abstract void show(Area area, long[] words);

  /** New words of an area. */
  final long[] shown(Area area) {
    long[] words = new long[area.words()];
    show(area, words);
    return words;
  }

  @Override
  public final boolean equals(Object other) {
    return this == other
        || (other instanceof AttentionMask mask && toString().equals(mask.toString()));
  }

  @Override
  public final int hashCode() {
    return toString().hashCode();
  }

  /** For a line that people read: the text, of long lists the beginning and how many more. */
  public final String summary() {
    return Arrays.stream(toString().split(" "))
        .map(AttentionMask::summary)
        .collect(Collectors.joining(" "));
  }

  private static String summary(String term) {
    String[] elements = term.split(",");
    if (elements.length <= SUMMARISED) {
      return term;
    }
    int closing = term.indexOf(')');
    return String.join(",", Arrays.copyOf(elements, SUMMARISED))
        + ",… "
        + (elements.length - SUMMARISED)
        + " more"
        + (closing < 0 ? "" : term.substring(closing));
  }

  /** The form that {@link #parse(String)} accepts. */
  @Override
  public abstract String toString();
}

package io.sparkattention.partitioning;

import java.math.BigInteger;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.LongStream;

/** A mask beside its definition on single positions: the brute force that tests compare with. */
record MaskOracle(AttentionMask mask, Definition definition) {

  /** Whether the query at an aligned position sees the key at another. */
  interface Definition {
    boolean sees(long query, long key);
  }

  /** Each kind with its edges, and compositions of a few. */
  static List<MaskOracle> all() {
    return List.of(
        new MaskOracle(AttentionMask.full(), (query, key) -> true),
        new MaskOracle(AttentionMask.causal(), (query, key) -> key <= query),
        window(0, 0),
        window(2, 0),
        window(0, 3),
        window(3, 1),
        window(100, 0),
        dilated(6, 2, 0),
        dilated(7, 3, 4),
        dilated(100, 2, 100),
        dilated(5, 70, 5),
        dilated(3, 1, 2),
        prefix(0),
        prefix(4),
        prefix(40),
        documents(3),
        documents(3, 1, 5),
        documents(1, 1, 40),
        global(0),
        global(2),
        globalPositions(1, 5, 6, 10),
        sinks(0),
        sinks(4),
        blockSparse(2, 0, 0, 0, 1, 3, 2, 3, 5, 4, 0),
        blockSparse(3, 3, 2, 0, 0, 3, 2, 3, 0, 1, 3, 1, 2, 1, 1, 1, 0),
        randomBlocks(1, 7, 1, 0),
        randomBlocks(2, 3, 2, 5),
        randomBlocks(9, 0, 3, 3),
        bigBird(1, 1, randomBlocks(1, 42, 2, 6)),
        streaming(2, 3),
        documents(4, 3).and(window(100, 0)),
        window(2, 0).and(globalPositions(4).or(dilated(9, 2, 0))),
        prefix(3).or(documents(4, 4).and(blockSparse(2, 0, 0, 3, 4).or(sinks(1)))));
  }

  static MaskOracle window(long left, long right) {
    return new MaskOracle(
        AttentionMask.slidingWindow(left, right),
        (query, key) -> key >= query - left && key <= query + right);
  }

  static MaskOracle dilated(long left, long step, long right) {
    return new MaskOracle(
        AttentionMask.dilatedWindow(left, step, right),
        (query, key) -> key >= query - left && key <= query + right && (query - key) % step == 0);
  }

  static MaskOracle prefix(long tokens) {
    return new MaskOracle(
        AttentionMask.prefix(tokens), (query, key) -> key < tokens || key <= query);
  }

  static MaskOracle documents(long... lengths) {
    return new MaskOracle(
        AttentionMask.documents(lengths),
        (query, key) -> query >= 0 && document(lengths, query) == document(lengths, key));
  }

  private static int document(long[] lengths, long position) {
    int document = 0;
    long end = lengths[0];
    while (position >= end) {
      document++;
      if (document == lengths.length) {
        break;
      }
      end += lengths[document];
    }
    return document;
  }

  static MaskOracle global(long tokens) {
    return new MaskOracle(
        AttentionMask.global(tokens),
        (query, key) -> (query >= 0 && query < tokens) || key < tokens);
  }

  static MaskOracle globalPositions(long... positions) {
    Set<Long> global = new HashSet<>(LongStream.of(positions).boxed().toList());
    return new MaskOracle(
        AttentionMask.globalPositions(positions),
        (query, key) -> global.contains(query) || global.contains(key));
  }

  static MaskOracle sinks(long tokens) {
    return new MaskOracle(AttentionMask.sinks(tokens), (query, key) -> key < tokens);
  }

  /** Pairs of a query block and a key block, one after the other. */
  static MaskOracle blockSparse(long blockTokens, long... pairs) {
    Set<List<Long>> listed = new HashSet<>();
    long[] queries = new long[pairs.length / 2];
    long[] keys = new long[pairs.length / 2];
    for (int i = 0; i < queries.length; i++) {
      queries[i] = pairs[2 * i];
      keys[i] = pairs[2 * i + 1];
      listed.add(List.of(queries[i], keys[i]));
    }
    return new MaskOracle(
        AttentionMask.blockSparse(blockTokens, queries, keys),
        (query, key) ->
            listed.contains(List.of(Math.floorDiv(query, blockTokens), key / blockTokens)));
  }

  /** Of the own block and the earlier ones where {@code keyBlocks} is 0. */
  static MaskOracle randomBlocks(int count, long seed, long blockTokens, long keyBlocks) {
    Map<Long, Set<Long>> drawn = new HashMap<>();
    AttentionMask mask =
        keyBlocks == 0
            ? AttentionMask.randomBlocks(count, seed, blockTokens)
            : AttentionMask.randomBlocks(count, seed, blockTokens, keyBlocks);
    return new MaskOracle(
        mask,
        (query, key) ->
            query >= 0
                && drawn
                    .computeIfAbsent(
                        query / blockTokens,
                        block -> draw(count, seed, block, keyBlocks == 0 ? block + 1 : keyBlocks))
                    .contains(key / blockTokens));
  }

  /** Floyd's algorithm as it is written, on the random bits that the mask documents. */
  private static Set<Long> draw(int count, long seed, long queryBlock, long range) {
    long golden = 0x9E3779B97F4A7C15L;
    Set<Long> drawn = new HashSet<>();
    for (long j = Math.max(0, range - count); j < range; j++) {
      long bits = mix(mix(mix(seed + golden) + (queryBlock + 1) * golden) + (j + 1) * golden);
      long draw =
          BigInteger.valueOf(bits >>> 1)
              .multiply(BigInteger.valueOf(j + 1))
              .shiftRight(63)
              .longValueExact();
      if (!drawn.add(draw)) {
        drawn.add(j);
      }
    }
    return drawn;
  }

  private static long mix(long value) {
    long z = value;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }

  static MaskOracle bigBird(long window, long tokens, MaskOracle random) {
    Definition definition = window(window, window).or(global(tokens)).or(random).definition;
    return new MaskOracle(AttentionMask.bigBird(window, tokens, random.mask), definition);
  }

  static MaskOracle streaming(long tokens, long window) {
    return new MaskOracle(
        AttentionMask.streaming(tokens, window),
        (query, key) -> key <= query && (key < tokens || key >= query - window));
  }

  MaskOracle or(MaskOracle other) {
    return new MaskOracle(
        AttentionMask.union(mask, other.mask),
        (query, key) -> definition.sees(query, key) || other.definition.sees(query, key));
  }

  MaskOracle and(MaskOracle other) {
    return new MaskOracle(
        AttentionMask.intersection(mask, other.mask),
        (query, key) -> definition.sees(query, key) && other.definition.sees(query, key));
  }

  /** A composition nested up to a depth, of masks whose sizes are below a number of positions. */
  static MaskOracle random(Random random, int depth, int size) {
    if (depth > 0 && random.nextInt(4) > 0) {
      MaskOracle one = random(random, depth - 1, size);
      MaskOracle other = random(random, depth - 1, size);
      return random.nextBoolean() ? one.or(other) : one.and(other);
    }
    int blockTokens = 1 + random.nextInt(Math.max(1, size / 4));
    return switch (random.nextInt(11)) {
      case 0 -> all().get(0);
      case 1 -> all().get(1);
      case 2 -> window(random.nextInt(size), random.nextInt(size));
      case 3 -> dilated(random.nextInt(size), 1 + random.nextInt(80), random.nextInt(size));
      case 4 -> prefix(random.nextInt(size));
      case 5 -> documents(random.longs(3, 1, size / 2 + 1).toArray());
      case 6 -> global(random.nextInt(3));
      case 7 -> globalPositions(random.longs(3, 0, size).toArray());
      case 8 -> sinks(random.nextInt(size / 4));
      case 9 -> blockSparse(blockTokens, random.longs(16, 0, size / blockTokens + 1).toArray());
      default ->
          randomBlocks(1 + random.nextInt(3), random.nextInt(99), blockTokens, random.nextInt(9));
    };
  }

  /** [query.tokens(), key.tokens()] */
  boolean[][] matrix(Block query, Block key, long offset) {
    boolean[][] visible = new boolean[query.tokens()][key.tokens()];
    for (int row = 0; row < query.tokens(); row++) {
      for (int column = 0; column < key.tokens(); column++) {
        visible[row][column] =
            query.sequence() == key.sequence()
                && definition.sees(query.start() + row + offset, key.start() + column);
      }
    }
    return visible;
  }

  long visiblePairs(Block query, Block key, long offset) {
    long pairs = 0;
    for (boolean[] row : matrix(query, key, offset)) {
      for (boolean visible : row) {
        pairs += visible ? 1 : 0;
      }
    }
    return pairs;
  }

  /** The mask's own words as a matrix; fails where a bit beyond the keys is set. */
  boolean[][] words(Block query, Block key, long offset) {
    int perRow = AttentionMask.wordsPerRow(key);
    long[] words = new long[query.tokens() * perRow + 1];
    Arrays.fill(words, -3);
    mask.visible(query, key, offset, words);
    boolean[][] visible = new boolean[query.tokens()][key.tokens()];
    for (int row = 0; row < visible.length; row++) {
      for (int bit = 0; bit < perRow * Long.SIZE; bit++) {
        boolean set = (words[row * perRow + bit / Long.SIZE] >>> (bit % Long.SIZE) & 1) == 1;
        if (bit < key.tokens()) {
          visible[row][bit] = set;
        } else if (set) {
          throw new AssertionError("bit " + bit + " beyond " + key);
        }
      }
    }
    if (words[words.length - 1] != -3) {
      throw new AssertionError("a word beyond " + query);
    }
    return visible;
  }

  @Override
  public String toString() {
    return mask.toString();
  }
}

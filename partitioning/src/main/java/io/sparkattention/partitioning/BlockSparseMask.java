package io.sparkattention.partitioning;

import java.util.Arrays;
import java.util.Comparator;
import java.util.StringJoiner;
import java.util.stream.IntStream;

/** The query blocks of a list see the key blocks that it pairs them with, and no others. */
final class BlockSparseMask extends BlockMask {

  /** [query blocks]: those of the list, ascending, each once. */
  private final long[] queryBlocks;

  /** [query blocks][key blocks]: what each of them sees, ascending, each once. */
  private final long[][] keyBlocks;

  /** Pair i is query block {@code queries[i]} with key block {@code keys[i]}. */
  BlockSparseMask(long blockTokens, long[] queries, long[] keys) {
    super(blockTokens);
    if (queries.length != keys.length || queries.length == 0) {
      throw new IllegalArgumentException(
          "Invalid block list: "
              + queries.length
              + " query blocks with "
              + keys.length
              + " key blocks (expected pairs, at least one)");
    }
    long most = Block.MAX_POSITION / blockTokens;
    for (int i = 0; i < queries.length; i++) {
      if (Math.min(queries[i], keys[i]) < 0 || Math.max(queries[i], keys[i]) >= most) {
        throw new IllegalArgumentException(
            "Invalid block list: pair %d is %d-%d (expected blocks of %d tokens at positions below 2^60)"
                .formatted(i + 1, queries[i], keys[i], blockTokens));
      }
    }
    int[] order =
        IntStream.range(0, queries.length)
            .boxed()
            .sorted(Comparator.comparingLong(i -> queries[i]))
            .mapToInt(Integer::intValue)
            .toArray();
    queryBlocks = Arrays.stream(queries).sorted().distinct().toArray();
    keyBlocks = new long[queryBlocks.length][];
    int start = 0;
    for (int row = 0; row < keyBlocks.length; row++) {
      int end = start;
      while (end < order.length && queries[order[end]] == queryBlocks[row]) {
        end++;
      }
      keyBlocks[row] =
          Arrays.stream(order, start, end).mapToLong(i -> keys[i]).sorted().distinct().toArray();
      start = end;
    }
  }

  @Override
  public long namedEnd() {
    long last = queryBlocks[queryBlocks.length - 1];
    for (long[] keys : keyBlocks) {
      last = Math.max(last, keys[keys.length - 1]);
    }
    return last * blockTokens + 1;
  }

  @Override
  long nextQueryBlock(long from) {
    int found = Arrays.binarySearch(queryBlocks, from);
    int row = found >= 0 ? found : -found - 1;
    return row < queryBlocks.length ? queryBlocks[row] : Long.MAX_VALUE;
  }

  @Override
  long[] keyBlocks(long queryBlock) {
    return keyBlocks[Arrays.binarySearch(queryBlocks, queryBlock)];
  }

  @Override
  public String toString() {
    StringJoiner text = new StringJoiner(",", "block-sparse:" + blockTokens + ",", "");
    for (int row = 0; row < queryBlocks.length; row++) {
      for (long key : keyBlocks[row]) {
        text.add(queryBlocks[row] + "-" + key);
      }
    }
    return text.toString();
  }
}

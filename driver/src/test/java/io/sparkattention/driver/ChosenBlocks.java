package io.sparkattention.driver;

import io.sparkattention.kernels.HeadLayout;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * Block top-k by its definition, in float64: of the key blocks in which a query may see a key its
 * own, and those whose mean keys have the largest product with it.
 *
 * @param size keys of a block
 * @param count blocks that each query of each head chooses
 */
record ChosenBlocks(RandomSequence sequence, int size, int count) {
  /** Which keys a query may see, both counted within the arrays. */
  @FunctionalInterface
  interface Candidates {
    boolean sees(int query, int key);
  }

  /**
   * The blocks that a query chooses.
   *
   * @param own the query's position among the keys
   * @return [blocks]
   */
  boolean[] of(int head, int query, long own, Candidates candidates) {
    boolean[] chosen = new boolean[(sequence.keys() + size - 1) / size];
    IntStream.range(0, chosen.length)
        .filter(b -> keys(b).anyMatch(key -> candidates.sees(query, key)))
        .boxed()
        .sorted(
            Comparator.comparingDouble(
                b ->
                    b == Math.floorDiv(own, size)
                        ? Double.NEGATIVE_INFINITY
                        : -product(head, query, b)))
        .limit(count)
        .forEach(b -> chosen[b] = true);
    return chosen;
  }

  private IntStream keys(int block) {
    return IntStream.range(block * size, Math.min(sequence.keys(), (block + 1) * size));
  }

  /** Of the query and the block's mean key. */
  private double product(int head, int query, int block) {
    HeadLayout layout = sequence.layout();
    int dim = layout.keyDim();
    int queryRow = head * sequence.queries() + query;
    int firstKey = layout.keyValueHead(head) * sequence.keys();
    return keys(block)
        .mapToDouble(
            key -> {
              double sum = 0;
              for (int d = 0; d < dim; d++) {
                sum +=
                    (double) sequence.query()[queryRow * dim + d]
                        * sequence.key()[(firstKey + key) * dim + d];
              }
              return sum;
            })
        .average()
        .orElseThrow();
  }
}

package io.sparkattention.partitioning;

/**
 * Which key blocks the queries of one block chose under {@link AttentionMask#blockTopK}, for one
 * head: what a mask cannot know, because it depends on the numbers.
 */
@FunctionalInterface
public interface BlockSelection {
  /**
   * @param row row of the query in its block
   * @param keyBlock block of the mask's own grid, which begins at position 0
   */
  boolean chosen(int row, long keyBlock);
}

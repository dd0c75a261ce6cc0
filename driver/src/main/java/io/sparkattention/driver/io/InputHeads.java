package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.kernels.HeadLayout;

/** The head counts and sizes of an input, checked for a message in the input's own terms. */
record InputHeads(int queryHeads, int keyValueHeads, int queryDim, int keyDim, int valueDim) {
  /**
   * @param where the input, for messages: its quoted path
   * @param remedy what to change where the head counts do not fit
   */
  HeadLayout layout(String where, String remedy) {
    if (queryDim != keyDim) {
      throw new InvalidInputException(
          "Invalid headDim in %s: found %d for 'query' and %d for 'key', expected the same; correct their widths"
              .formatted(where, queryDim, keyDim));
    }
    requireDim(where, "query", queryDim);
    requireDim(where, "value", valueDim);
    if (queryHeads % keyValueHeads != 0) {
      throw new InvalidInputException(
          "Invalid heads in %s: found %d for 'query' and %d for 'key' and 'value', expected a multiple of the latter for 'query'; %s"
              .formatted(where, queryHeads, keyValueHeads, remedy));
    }
    return new HeadLayout(queryHeads, keyValueHeads, queryDim, valueDim);
  }

  private static void requireDim(String where, String column, int dim) {
    if (dim > HeadLayout.MAX_HEAD_DIM) {
      throw new InvalidInputException(
          "Invalid headDim in %s: found %d for '%s', expected 1 to %d; split the heads"
              .formatted(where, dim, column, HeadLayout.MAX_HEAD_DIM));
    }
  }
}

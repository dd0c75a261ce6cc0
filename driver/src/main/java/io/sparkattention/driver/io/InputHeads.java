package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.kernels.HeadLayout;

/** The head counts and sizes of an input, checked for a message in the input's own terms. */
record InputHeads(int queryHeads, int keyValueHeads, int queryDim, int keyDim, int valueDim) {
  /**
   * @param path of the input, for messages
   * @param remedy what to change where the head counts do not fit
   */
  HeadLayout layout(String path, String remedy) {
    if (queryDim != keyDim) {
      throw new InvalidInputException(
          "Invalid headDim in '%s': found %d for 'query' and %d for 'key', expected the same; correct their widths"
              .formatted(path, queryDim, keyDim));
    }
    requireDim(path, "query", queryDim);
    requireDim(path, "value", valueDim);
    if (queryHeads % keyValueHeads != 0) {
      throw new InvalidInputException(
          "Invalid heads in '%s': found %d for 'query' and %d for 'key' and 'value', expected a multiple of the latter for 'query'; %s"
              .formatted(path, queryHeads, keyValueHeads, remedy));
    }
    return new HeadLayout(queryHeads, keyValueHeads, queryDim, valueDim);
  }

  private static void requireDim(String path, String column, int dim) {
    if (dim > HeadLayout.MAX_HEAD_DIM) {
      throw new InvalidInputException(
          "Invalid headDim in '%s': found %d for '%s', expected 1 to %d; split the heads"
              .formatted(path, dim, column, HeadLayout.MAX_HEAD_DIM));
    }
  }
}

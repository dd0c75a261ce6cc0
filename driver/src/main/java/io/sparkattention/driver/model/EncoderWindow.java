package io.sparkattention.driver.model;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Tokens that one task encodes as a sequence of its own, and those of them whose states are kept.
 *
 * @param document its index
 * @param ordinal of the window in its document, from 0
 * @param start position of the first token in the document
 * @param ids [tokens] of the window
 * @param keepFrom position in the document of the first state that is kept
 * @param keepTo position after the last one
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record EncoderWindow(int document, int ordinal, int start, int[] ids, int keepFrom, int keepTo)
    implements Serializable {

  /**
   * Cuts a document. The kept ranges are its positions, each once.
   *
   * @param length of a window at most
   */
  static List<EncoderWindow> of(int document, int[] ids, int length) {
    int stride = Math.max(1, length / 2);
    List<Integer> starts = new ArrayList<>();
    for (int start = 0; start + length < ids.length; start += stride) {
      starts.add(start);
    }
    starts.add(Math.max(0, ids.length - length));
    List<EncoderWindow> windows = new ArrayList<>();
    int keepFrom = 0;
    for (int i = 0; i < starts.size(); i++) {
      int start = starts.get(i);
      int end = Math.min(ids.length, start + length);
      // Halfway through the overlap a token is as far from the one window's end as from the other's
      // start; a tie goes to the earlier window.
      int keepTo = i + 1 == starts.size() ? ids.length : (starts.get(i + 1) + end + 1) / 2;
      windows.add(
          new EncoderWindow(
              document, i, start, Arrays.copyOfRange(ids, start, end), keepFrom, keepTo));
      keepFrom = keepTo;
    }
    return windows;
  }
}

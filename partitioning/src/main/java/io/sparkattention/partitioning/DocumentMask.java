package io.sparkattention.partitioning;

import java.util.Arrays;
import java.util.StringJoiner;

/**
 * Sees the keys of its own document, the one that the aligned position lies in: the offset decides
 * which that is. Before position 0 there is no document, and no key is seen; positions past the
 * listed documents form a last one.
 */
final class DocumentMask extends IntervalMask {

  /** [documents + 1]: the start of each, the last one's included, and a position beyond all. */
  private final long[] starts;

  DocumentMask(long[] lengths) {
    if (lengths.length == 0) {
      throw new IllegalArgumentException("Invalid documents: none (expected their lengths)");
    }
    starts = new long[lengths.length + 2];
    for (int i = 0; i < lengths.length; i++) {
      if (lengths[i] < 1 || lengths[i] > Block.MAX_POSITION - starts[i]) {
        throw new IllegalArgumentException(
            "Invalid documents: length "
                + (i + 1)
                + " is "
                + lengths[i]
                + " (expected >= 1, the sum <= 2^60)");
      }
      starts[i + 1] = starts[i] + lengths[i];
    }
    starts[lengths.length + 1] = Area.UNBOUNDED;
  }

  /** The index of the document of a position; −1 before all documents. */
  private int document(long position) {
    int found = Arrays.binarySearch(starts, position);
    return found >= 0 ? found : -found - 2;
  }

  @Override
  long firstVisible(long query) {
    return query < 0 ? 0 : starts[document(query)];
  }

  @Override
  long lastVisible(long query) {
    return query < 0 ? -1 : starts[document(query) + 1] - 1;
  }

  @Override
  public long namedEnd() {
    return starts[starts.length - 3] + 1;
  }

  /** Document by document. */
  @Override
  long visiblePairs(Area area) {
    long pairs = 0;
    int document = document(area.keyFrom());
    for (; document + 1 < starts.length && starts[document] < area.keyTo(); document++) {
      long from = starts[document];
      long to = starts[document + 1];
      pairs =
          Math.addExact(pairs, Math.multiplyExact(area.queriesIn(from, to), area.keysIn(from, to)));
    }
    return pairs;
  }

  @Override
  public String toString() {
    StringJoiner text = new StringJoiner(",", "documents:", "");
    for (int i = 1; i + 1 < starts.length; i++) {
      text.add(Long.toString(starts[i] - starts[i - 1]));
    }
    return text.toString();
  }
}

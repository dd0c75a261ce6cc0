package io.sparkattention.partitioning;

import java.util.Arrays;

/**
 * The pending event of each rank, earliest first; of equal times the lower rank first, so that a
 * simulation depends on its arguments alone. A binary heap on arrays: a simulation of 10,000 ranks
 * passes 10^8 events through it.
 */
final class RankClock {
  /** [ranks]: when its event is due. */
  private final double[] due;

  /** [ranks]: ranks with an event, as a heap by (due, rank). */
  private final int[] heap;

  private int size;

  RankClock(int ranks) {
    due = new double[ranks];
    heap = new int[ranks];
    Arrays.fill(due, Double.NaN);
  }

  boolean isEmpty() {
    return size == 0;
  }

  /** Sets the event of a rank that has none. */
  void set(int rank, double seconds) {
    due[rank] = seconds;
    int place = size++;
    while (place > 0 && before(rank, heap[(place - 1) / 2])) {
      heap[place] = heap[(place - 1) / 2];
      place = (place - 1) / 2;
    }
    heap[place] = rank;
  }

  /** Removes the earliest event and returns whose it was; its time is {@link #due}. */
  int remove() {
    int first = heap[0];
    int last = heap[--size];
    int place = 0;
    for (int child = 1; child < size; child = 2 * place + 1) {
      if (child + 1 < size && before(heap[child + 1], heap[child])) {
        child++;
      }
      if (!before(heap[child], last)) {
        break;
      }
      heap[place] = heap[child];
      place = child;
    }
    heap[place] = last;
    return first;
  }

  double due(int rank) {
    return due[rank];
  }

  private boolean before(int a, int b) {
    return due[a] < due[b] || (due[a] == due[b] && a < b);
  }
}

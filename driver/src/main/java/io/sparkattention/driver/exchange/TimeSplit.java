package io.sparkattention.driver.exchange;

import java.io.Serializable;

/**
 * Where the time of attention tasks went, in nanoseconds; the times of several tasks add up. A task
 * computes, waits and finishes in turn; it fetches at the same time, in a thread of its own, so
 * that fetching costs what of it becomes waiting.
 *
 * @param computeNanos folding keys and values into states, the mask's share included
 * @param waitNanos for keys, values or states that are not there yet
 * @param fetchNanos reading keys, values or states, from this executor's storage or another's
 * @param finishNanos merging states that meet, and making rows of them
 */
public record TimeSplit(long computeNanos, long waitNanos, long fetchNanos, long finishNanos)
    implements Serializable {
  static final TimeSplit NONE = new TimeSplit(0, 0, 0, 0);

  /** The times of two tasks, or of two steps of one. */
  TimeSplit plus(TimeSplit other) {
    return new TimeSplit(
        computeNanos + other.computeNanos,
        waitNanos + other.waitNanos,
        fetchNanos + other.fetchNanos,
        finishNanos + other.finishNanos);
  }
}

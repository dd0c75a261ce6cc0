package io.sparkattention.driver.exchange;

import org.apache.spark.util.AccumulatorV2;

/**
 * What the attention tasks measured: when the first started and the last ended (by the clocks of
 * their executors), bytes that came from other executors, the largest heap after a collection,
 * visible pairs, and where the time went. Tasks that failed do not count.
 */
public final class AttentionMeter
    extends AccumulatorV2<AttentionMeter.Reading, AttentionMeter.Reading> {
  private static final long serialVersionUID = 1L;

  /**
   * @param startMillis when the first task started, in milliseconds since the epoch
   * @param endMillis when the last task ended
   * @param bytesMoved bytes that came from another executor
   * @param peakHeapBytes heap in use after a garbage collection, the largest of any executor
   * @param countedPairs visible pairs of a query and a key, of all heads; counted where the plan
   *     does not know them, else 0
   * @param times sums over the tasks
   */
  public record Reading(
      long startMillis,
      long endMillis,
      long bytesMoved,
      long peakHeapBytes,
      long countedPairs,
      TimeSplit times)
      implements java.io.Serializable {
    private static final Reading NONE = withoutSpan(0, TimeSplit.NONE);

    /** What was measured beside the time from a task's start to its end. */
    static Reading withoutSpan(long bytesMoved, TimeSplit times) {
      return new Reading(Long.MAX_VALUE, Long.MIN_VALUE, bytesMoved, 0, 0, times);
    }

    private Reading plus(Reading other) {
      return new Reading(
          Math.min(startMillis, other.startMillis),
          Math.max(endMillis, other.endMillis),
          bytesMoved + other.bytesMoved,
          Math.max(peakHeapBytes, other.peakHeapBytes),
          countedPairs + other.countedPairs,
          times.plus(other.times));
    }

    /** This, with bytes that no task has counted. */
    public Reading plusBytes(long bytes) {
      return new Reading(
          startMillis, endMillis, bytesMoved + bytes, peakHeapBytes, countedPairs, times);
    }

    /** Wall time from the first start to the last end. */
    public double seconds() {
      return endMillis < startMillis ? 0 : (endMillis - startMillis) / 1e3;
    }
  }

  private Reading total = Reading.NONE;

  /** Called by a task at its end. */
  void add(long startMillis, long bytesMoved, long countedPairs, TimeSplit times) {
    add(
        new Reading(
            startMillis,
            System.currentTimeMillis(),
            bytesMoved,
            HeapPeak.afterCollection(),
            countedPairs,
            times));
  }

  @Override
  public void add(Reading reading) {
    total = total.plus(reading);
  }

  @Override
  public void merge(AccumulatorV2<Reading, Reading> other) {
    add(other.value());
  }

  @Override
  public Reading value() {
    return total;
  }

  @Override
  public boolean isZero() {
    return total.equals(Reading.NONE);
  }

  @Override
  public AttentionMeter copy() {
    AttentionMeter copy = new AttentionMeter();
    copy.total = total;
    return copy;
  }

  @Override
  public void reset() {
    total = Reading.NONE;
  }
}

package io.sparkattention.driver.exchange;

import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.Future;
import java.util.function.IntFunction;
import org.apache.spark.TaskContext;

/**
 * Reads runs of keys and values one ahead: while one is folded, the next is on its way. At most two
 * are in memory.
 */
final class RunPrefetcher implements AutoCloseable {
  private final int visits;
  private final IntFunction<List<PlacedKeyValues>> read;
  private final TaskContext context;
  private final TaskThread thread;
  private Future<List<PlacedKeyValues>> ahead;
  private int asked;

  /** Written by the reading thread, read after it ended its work. */
  private volatile long fetchNanos;

  private long waitNanos;

  /**
   * @param visits how many runs there are to read
   * @param read gives the run of a visit; called in the order of the visits by one {@link
   *     TaskThread}
   */
  RunPrefetcher(int visits, IntFunction<List<PlacedKeyValues>> read, TaskContext context) {
    this.visits = visits;
    this.read = read;
    this.context = context;
    this.thread = new TaskThread("attention-prefetch", context);
    askAhead();
  }

  boolean hasNext() {
    return ahead != null;
  }

  /**
   * The next run, in the order of the visits; the one after it is asked for. Waits without a
   * deadline of its own: the source's network timeouts bound a fetch, and a run that has to be
   * computed again takes what it takes.
   */
  List<PlacedKeyValues> next() {
    if (ahead == null) {
      throw new NoSuchElementException("All " + visits + " runs are read");
    }
    long start = System.nanoTime();
    List<PlacedKeyValues> run = TaskThread.await(ahead, context);
    waitNanos += System.nanoTime() - start;
    askAhead();
    return run;
  }

  /** What was spent on waiting for runs, and on reading those that have been returned. */
  TimeSplit times() {
    return new TimeSplit(0, waitNanos, fetchNanos, 0);
  }

  /** Stops the reading thread and waits for its end. */
  @Override
  public void close() {
    thread.close();
  }

  private void askAhead() {
    if (asked == visits) {
      ahead = null;
      return;
    }
    int visit = asked++;
    ahead = thread.submit(() -> timed(visit));
  }

  private List<PlacedKeyValues> timed(int visit) {
    long start = System.nanoTime();
    try {
      return read.apply(visit);
    } finally {
      fetchNanos += System.nanoTime() - start;
    }
  }
}

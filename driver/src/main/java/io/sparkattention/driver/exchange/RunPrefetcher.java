package io.sparkattention.driver.exchange;

import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.Future;
import org.apache.spark.TaskContext;

/**
 * Reads runs of keys and values one ahead: while one is folded, the next is on its way. At most two
 * are in memory.
 */
final class RunPrefetcher implements AutoCloseable {
  private final RunSource source;
  private final TaskContext context;
  private final TaskThread thread;
  private Future<List<PlacedKeyValues>> ahead;
  private int asked;

  RunPrefetcher(RunSource source, TaskContext context) {
    this.source = source;
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
      throw new NoSuchElementException("All " + source.visits() + " runs are read");
    }
    List<PlacedKeyValues> run = TaskThread.await(ahead, context);
    askAhead();
    return run;
  }

  /** Stops the reading thread and waits for its end. */
  @Override
  public void close() {
    thread.close();
  }

  private void askAhead() {
    if (asked == source.visits()) {
      ahead = null;
      return;
    }
    int visit = asked++;
    ahead = thread.submit(() -> source.read(visit));
  }
}

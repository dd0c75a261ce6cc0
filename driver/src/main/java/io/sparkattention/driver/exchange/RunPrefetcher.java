package io.sparkattention.driver.exchange;

import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.IntFunction;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskContext$;

/**
 * Reads runs of keys and values one ahead: while one is folded, the next is on its way. At most two
 * are in memory.
 */
final class RunPrefetcher implements AutoCloseable {
  /** How long a wait lasts before it looks whether the task was killed. */
  private static final long POLL_MILLIS = 100;

  private final int visits;
  private final IntFunction<List<PlacedKeyValues>> read;
  private final TaskContext context;
  private final ExecutorService thread;
  private Future<List<PlacedKeyValues>> ahead;
  private int asked;

  /** Written by the reading thread, read after it ended its work. */
  private volatile long fetchNanos;

  private long waitNanos;

  /**
   * @param visits how many runs there are to read
   * @param read gives the run of a visit; called in the order of the visits by one thread, which
   *     sees the task's context
   */
  RunPrefetcher(int visits, IntFunction<List<PlacedKeyValues>> read, TaskContext context) {
    this.visits = visits;
    this.read = read;
    this.context = context;
    this.thread =
        Executors.newSingleThreadExecutor(
            work -> {
              Thread reader = new Thread(work, "attention-prefetch-" + context.taskAttemptId());
              reader.setDaemon(true);
              return reader;
            });
    askAhead();
  }

  boolean hasNext() {
    return ahead != null;
  }

  /** The next run, in the order of the visits; the one after it is asked for. */
  List<PlacedKeyValues> next() {
    if (ahead == null) {
      throw new NoSuchElementException("All " + visits + " runs are read");
    }
    long start = System.nanoTime();
    List<PlacedKeyValues> run = await(ahead);
    waitNanos += System.nanoTime() - start;
    askAhead();
    return run;
  }

  /** What was spent on waiting for runs, and on reading those that have been returned. */
  TimeSplit times() {
    return new TimeSplit(0, waitNanos, fetchNanos, 0);
  }

  /**
   * Stops the reading thread and waits for its end: Spark releases a task's locks on stored blocks
   * when the task ends, and one that the thread took after that would stay for good.
   */
  @Override
  public void close() {
    thread.shutdownNow();
    boolean interrupted = false;
    while (!thread.isTerminated()) {
      try {
        thread.awaitTermination(POLL_MILLIS, TimeUnit.MILLISECONDS);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void askAhead() {
    if (asked == visits) {
      ahead = null;
      return;
    }
    int visit = asked++;
    ahead = thread.submit(() -> read(visit));
  }

  /** Runs on the reading thread; the task's context there lets Spark see a failed fetch. */
  private List<PlacedKeyValues> read(int visit) {
    TaskContext$.MODULE$.setTaskContext(context);
    long start = System.nanoTime();
    try {
      return read.apply(visit);
    } finally {
      fetchNanos += System.nanoTime() - start;
      TaskContext$.MODULE$.unset();
    }
  }

  /**
   * Waits without a deadline of its own: Spark's network timeouts bound a fetch, and a run that has
   * to be computed again takes what it takes. A killed task does not wait.
   */
  private List<PlacedKeyValues> await(Future<List<PlacedKeyValues>> run) {
    while (true) {
      context.killTaskIfInterrupted();
      try {
        return run.get(POLL_MILLIS, TimeUnit.MILLISECONDS);
      } catch (TimeoutException e) {
        // Look again.
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        context.killTaskIfInterrupted();
        throw new IllegalStateException("Interrupted while waiting for keys and values", e);
      } catch (ExecutionException e) {
        throw sneaky(e.getCause());
      }
    }
  }

  /** Spark recognises a failed fetch by its own exception, which is checked in Scala only. */
  @SuppressWarnings("unchecked")
  private static <E extends Throwable> RuntimeException sneaky(Throwable cause) throws E {
    throw (E) cause;
  }
}

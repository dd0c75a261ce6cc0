package io.sparkattention.driver.exchange;

import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskContext$;

/**
 * A second thread of a task, which reads for it. It has the task's context, so that Spark sees a
 * failed fetch, and ends before the task does.
 */
final class TaskThread implements AutoCloseable {
  /** How long a wait lasts before it looks whether the task was killed. */
  static final long POLL_MILLIS = 100;

  private final TaskContext context;
  private final ExecutorService thread;

  /**
   * @param name what it does, for a thread dump
   */
  TaskThread(String name, TaskContext context) {
    this.context = context;
    this.thread =
        Executors.newSingleThreadExecutor(
            work -> {
              Thread reader = new Thread(work, name + "-" + context.taskAttemptId());
              reader.setDaemon(true);
              return reader;
            });
  }

  <T> Future<T> submit(Callable<T> work) {
    return thread.submit(
        () -> {
          TaskContext$.MODULE$.setTaskContext(context);
          try {
            return work.call();
          } finally {
            TaskContext$.MODULE$.unset();
          }
        });
  }

  /**
   * Waits for a result that has a deadline of its own, or that takes what it takes. A killed task
   * does not wait. A failure arrives as it was thrown: Spark knows a failed fetch by its class.
   */
  static <T> T await(Future<T> result, TaskContext context) {
    while (true) {
      context.killTaskIfInterrupted();
      try {
        return result.get(POLL_MILLIS, TimeUnit.MILLISECONDS);
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

  /** Spark's exceptions are checked in Scala only. */
  @SuppressWarnings("unchecked")
  private static <E extends Throwable> RuntimeException sneaky(Throwable cause) throws E {
    throw (E) cause;
  }

  /**
   * Stops the thread and waits for its end: Spark releases a task's locks on stored blocks when the
   * task ends, and one that the thread took after that would stay for good.
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
}

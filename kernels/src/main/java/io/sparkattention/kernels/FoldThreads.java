package io.sparkattention.kernels;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/** The threads that help a task's own one, shared by all tasks of the JVM and started on demand. */
final class FoldThreads {
  private static final AtomicInteger STARTED = new AtomicInteger();

  /** Threads that had nothing to do for a minute end. */
  private static final ExecutorService POOL =
      Executors.newCachedThreadPool(
          work -> {
            Thread thread = new Thread(work, "attention-fold-" + STARTED.incrementAndGet());
            thread.setDaemon(true);
            return thread;
          });

  private FoldThreads() {}

  /**
   * Runs the same work on up to {@code threads} threads, the caller's among them, and returns when
   * all have ended, also if the caller is interrupted. The work shares itself out: a helper that
   * comes after the caller has ended would find nothing left, and is not waited for.
   *
   * @throws RuntimeException what the work threw first, on whichever thread
   */
  static void share(int threads, Runnable work) {
    run(threads, 0, work);
  }

  /**
   * Runs the same work on exactly {@code threads} threads, the caller's among them, and returns
   * when all have ended.
   */
  static void runAll(int threads, Runnable work) {
    run(threads, threads, work);
  }

  private static void run(int threads, int least, Runnable work) {
    Crew crew = new Crew(work);
    for (int i = 1; i < threads; i++) {
      POOL.execute(crew);
    }
    crew.run();
    crew.join(least);
  }

  private static final class Crew implements Runnable {
    private final Runnable work;
    private int begun;
    private int ended;
    private boolean closed;
    private Throwable failure;

    Crew(Runnable work) {
      this.work = work;
    }

    @Override
    public void run() {
      synchronized (this) {
        if (closed) {
          return;
        }
        begun++;
      }
      Throwable thrown = null;
      try {
        work.run();
      } catch (RuntimeException | Error e) {
        thrown = e;
      }
      synchronized (this) {
        failure = failure == null ? thrown : failure;
        ended++;
        notifyAll();
      }
    }

    synchronized void join(int least) {
      boolean interrupted = false;
      while (begun < least || ended < begun) {
        try {
          wait();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
      closed = true;
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
      if (failure instanceof Error error) {
        throw error;
      }
      if (failure instanceof RuntimeException exception) {
        throw exception;
      }
    }
  }
}

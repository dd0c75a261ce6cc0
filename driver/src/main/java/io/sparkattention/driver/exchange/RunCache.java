package io.sparkattention.driver.exchange;

import java.io.Serializable;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.apache.spark.TaskContext;

/**
 * Runs that an executor has fetched from others, for its other tasks: Spark's storage does not keep
 * a block that it read from another executor. Of several tasks that ask for a run at once, one
 * fetches it and the others wait. What was used least recently goes when the bound is passed.
 *
 * <p>The value of a broadcast variable, so that an executor has one for each run of attention,
 * which ends when the variable is destroyed. Travels empty.
 */
final class RunCache implements Serializable {
  private static final long serialVersionUID = 1L;

  /** How long a wait lasts before it looks whether the task was killed. */
  private static final long POLL_MILLIS = 100;

  private final long maxBytes;

  /** By index of the run, the least recently used first; those on their way among them. */
  private final transient Map<Integer, CompletableFuture<List<PlacedKeyValues>>> runs =
      new LinkedHashMap<>(16, 0.75f, true);

  /** Of the runs that have arrived. */
  private transient long bytes;

  /**
   * @param maxBytes of runs that are kept; those that tasks work on are theirs
   */
  RunCache(long maxBytes) {
    this.maxBytes = maxBytes;
  }

  long maxBytes() {
    return maxBytes;
  }

  synchronized long bytes() {
    return bytes;
  }

  /**
   * A run, from here or by {@code fetch}, which is called by one task at a time for each run.
   *
   * @param context of the task that asks; killed, it does not wait
   */
  List<PlacedKeyValues> get(int run, TaskContext context, Supplier<List<PlacedKeyValues>> fetch) {
    while (true) {
      CompletableFuture<List<PlacedKeyValues>> own = new CompletableFuture<>();
      CompletableFuture<List<PlacedKeyValues>> there = claim(run, own);
      if (there == own) {
        return fetch(run, own, fetch);
      }
      List<PlacedKeyValues> arrived = await(there, context);
      if (arrived != null) {
        return arrived;
      }
      // The task that fetched it failed or was killed: that is no reason for this one to fail.
    }
  }

  private synchronized CompletableFuture<List<PlacedKeyValues>> claim(
      int run, CompletableFuture<List<PlacedKeyValues>> own) {
    CompletableFuture<List<PlacedKeyValues>> there = runs.get(run);
    if (there == null) {
      runs.put(run, own);
      return own;
    }
    return there;
  }

  private List<PlacedKeyValues> fetch(
      int run,
      CompletableFuture<List<PlacedKeyValues>> own,
      Supplier<List<PlacedKeyValues>> fetch) {
    boolean arrived = false;
    try {
      List<PlacedKeyValues> blocks = fetch.get();
      keep(run, blocks);
      own.complete(blocks);
      arrived = true;
      return blocks;
    } finally {
      if (!arrived) {
        forget(run);
        own.complete(null);
      }
    }
  }

  private synchronized void forget(int run) {
    runs.remove(run);
  }

  private synchronized void keep(int run, List<PlacedKeyValues> blocks) {
    bytes += bytes(blocks);
    Iterator<Map.Entry<Integer, CompletableFuture<List<PlacedKeyValues>>>> oldest =
        runs.entrySet().iterator();
    while (bytes > maxBytes && oldest.hasNext()) {
      Map.Entry<Integer, CompletableFuture<List<PlacedKeyValues>>> entry = oldest.next();
      List<PlacedKeyValues> there = entry.getKey() == run ? blocks : entry.getValue().getNow(null);
      if (there != null) {
        oldest.remove();
        bytes -= bytes(there);
      }
    }
  }

  private static long bytes(List<PlacedKeyValues> blocks) {
    return blocks.stream().mapToLong(PlacedKeyValues::bytes).sum();
  }

  /** Null where the run did not arrive. */
  private static List<PlacedKeyValues> await(
      CompletableFuture<List<PlacedKeyValues>> run, TaskContext context) {
    while (true) {
      context.killTaskIfInterrupted();
      try {
        return run.get(POLL_MILLIS, TimeUnit.MILLISECONDS);
      } catch (TimeoutException e) {
        // Look again.
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException("Interrupted while waiting for keys and values", e);
      } catch (ExecutionException e) {
        throw new IllegalStateException(e);
      }
    }
  }

  /** The maps are not serialised. */
  private Object readResolve() {
    return new RunCache(maxBytes);
  }
}

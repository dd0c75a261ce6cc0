package io.sparkattention.driver.exchange;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.partitioning.Block;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskContext$;
import org.apache.spark.TaskContextImpl;
import org.apache.spark.TaskKilledException;
import org.junit.jupiter.api.Test;

class RunCacheTest {
  private static final HeadLayout LAYOUT = new HeadLayout(1, 1, 16, 16);
  private static final List<PlacedKeyValues> RUN =
      List.of(
          new PlacedKeyValues(new Block(0, 0, 64), new KeyValueBlock.Packer(LAYOUT, 64).pack()));
  private static final long BYTES = RUN.get(0).bytes();

  private final TaskContext context = TaskContext$.MODULE$.empty();
  private final AtomicInteger fetches = new AtomicInteger();

  private List<PlacedKeyValues> fetch() {
    fetches.incrementAndGet();
    return RUN;
  }

  @Test
  void whatWasUsedLeastRecentlyGoesWhenTheBoundIsPassed() {
    RunCache cache = new RunCache(2 * BYTES + 1);
    for (int run : new int[] {0, 1, 0, 2}) {
      cache.get(run, context, this::fetch);
      assertThat(cache.bytes()).isLessThanOrEqualTo(cache.maxBytes());
    }
    assertThat(fetches).hasValue(3);
    cache.get(0, context, this::fetch);
    cache.get(2, context, this::fetch);
    assertThat(fetches).as("0 and 2 are there").hasValue(3);
    cache.get(1, context, this::fetch);
    assertThat(fetches).as("1 had to go").hasValue(4);
    assertThat(cache.bytes()).isEqualTo(2 * BYTES);
  }

  @Test
  void aRunBeyondTheBoundIsNotKept() {
    RunCache cache = new RunCache(BYTES - 1);
    assertThat(cache.get(0, context, this::fetch)).isSameAs(RUN);
    assertThat(cache.get(0, context, this::fetch)).isSameAs(RUN);
    assertThat(fetches).hasValue(2);
    assertThat(cache.bytes()).isZero();
  }

  /** Of tasks that ask at once, one fetches. */
  @Test
  void theOthersWait() throws InterruptedException {
    RunCache cache = new RunCache(BYTES);
    CountDownLatch fetching = new CountDownLatch(1);
    CountDownLatch arrived = new CountDownLatch(1);
    CompletableFuture<List<PlacedKeyValues>> first =
        CompletableFuture.supplyAsync(
            () ->
                cache.get(
                    5,
                    context,
                    () -> {
                      fetching.countDown();
                      awaitUninterruptibly(arrived);
                      return fetch();
                    }));
    fetching.await();
    Asking second = new Asking(cache, context);
    second.start();
    second.awaitWaiting();
    arrived.countDown();
    assertThat(first.join()).isSameAs(RUN);
    second.join();
    assertThat(second.found).isSameAs(RUN);
    assertThat(fetches).hasValue(1);
  }

  /** Whoever waited for it fetches for itself. */
  @Test
  void aFailedFetchIsItsOwnTasksFailure() throws InterruptedException {
    RunCache cache = new RunCache(BYTES);
    CountDownLatch fetching = new CountDownLatch(1);
    CountDownLatch failing = new CountDownLatch(1);
    CompletableFuture<List<PlacedKeyValues>> first =
        CompletableFuture.supplyAsync(
            () ->
                cache.get(
                    5,
                    context,
                    () -> {
                      fetching.countDown();
                      awaitUninterruptibly(failing);
                      throw new IllegalStateException("lost");
                    }));
    fetching.await();
    Asking second = new Asking(cache, context);
    second.start();
    second.awaitWaiting();
    failing.countDown();
    assertThatThrownBy(first::join).hasMessageContaining("lost");
    second.join();
    assertThat(second.found).isSameAs(RUN);
    assertThat(cache.bytes()).isEqualTo(BYTES);
  }

  @Test
  void aKilledTaskDoesNotWait() throws InterruptedException {
    RunCache cache = new RunCache(BYTES);
    CountDownLatch fetching = new CountDownLatch(1);
    CountDownLatch arrived = new CountDownLatch(1);
    CompletableFuture<List<PlacedKeyValues>> first =
        CompletableFuture.supplyAsync(
            () ->
                cache.get(
                    5,
                    context,
                    () -> {
                      fetching.countDown();
                      awaitUninterruptibly(arrived);
                      return fetch();
                    }));
    fetching.await();
    TaskContextImpl killed = (TaskContextImpl) TaskContext$.MODULE$.empty();
    Asking second = new Asking(cache, killed);
    second.start();
    second.awaitWaiting();
    killed.markInterrupted("killed by the test");
    second.join();
    assertThat(second.failure).isInstanceOf(TaskKilledException.class);
    arrived.countDown();
    assertThat(first.join()).isSameAs(RUN);
  }

  private static void awaitUninterruptibly(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  /** A task that asks for run 5. */
  private final class Asking extends Thread {
    private final RunCache cache;
    private final TaskContext asking;
    private volatile List<PlacedKeyValues> found;
    private volatile Throwable failure;

    Asking(RunCache cache, TaskContext asking) {
      this.cache = cache;
      this.asking = asking;
    }

    @Override
    public void run() {
      try {
        found = cache.get(5, asking, RunCacheTest.this::fetch);
      } catch (RuntimeException | Error e) {
        failure = e;
      }
    }

    void awaitWaiting() {
      await().atMost(Duration.ofMinutes(1)).until(() -> getState() == Thread.State.TIMED_WAITING);
    }
  }
}

package io.sparkattention.driver.exchange;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.LocalSession;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.partitioning.Block;
import java.io.IOException;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.CountDownLatch;
import org.apache.spark.Partition;
import org.apache.spark.TaskContext$;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.rdd.RDD;
import org.junit.jupiter.api.Test;

class RunPrefetcherTest {
  private static final HeadLayout LAYOUT = new HeadLayout(1, 1, 1, 1);

  private static final CountDownLatch READING = new CountDownLatch(1);
  private static volatile Thread closing;
  private static volatile boolean ended;

  /** Three runs of one block each. */
  private static RDD<PlacedKeyValues> runs(Function<Block, PlacedKeyValues> read) {
    Block[] blocks = {new Block(0, 0, 1), new Block(0, 1, 2), new Block(0, 2, 3)};
    return JavaSparkContext.fromSparkContext(LocalSession.get().sparkContext())
        .parallelize(List.of(blocks), blocks.length)
        .map(read)
        .rdd();
  }

  private StoredRuns source;

  private RunPrefetcher prefetcher(RDD<PlacedKeyValues> runs, Partition... visits) {
    source = new StoredRuns(runs, visits, TaskContext$.MODULE$.empty());
    return new RunPrefetcher(source, TaskContext$.MODULE$.empty());
  }

  private static PlacedKeyValues packed(Block block) {
    KeyValueBlock.Packer packer = new KeyValueBlock.Packer(LAYOUT, block.tokens());
    return new PlacedKeyValues(block, packer.pack());
  }

  @Test
  void readsInTheOrderOfTheVisits() {
    RDD<PlacedKeyValues> runs = runs(RunPrefetcherTest::packed);
    Partition[] p = runs.partitions();
    try (RunPrefetcher prefetcher = prefetcher(runs, p[2], p[0], p[1], p[0])) {
      for (long start : new long[] {2, 0, 1, 0}) {
        assertThat(prefetcher.hasNext()).isTrue();
        assertThat(prefetcher.next())
            .extracting(keys -> keys.block().start())
            .containsExactly(start);
      }
      assertThat(prefetcher.hasNext()).isFalse();
      assertThatThrownBy(prefetcher::next).isInstanceOf(NoSuchElementException.class);
      assertThat(source.bytesMoved()).isPositive();
    }
  }

  @Test
  void aRankWithoutVisitsReadsNothing() {
    try (RunPrefetcher prefetcher = prefetcher(runs(RunPrefetcherTest::packed))) {
      assertThat(prefetcher.hasNext()).isFalse();
      assertThat(source.bytesMoved()).isZero();
    }
  }

  /** Spark knows a failed fetch by the class of its exception. */
  @Test
  void aFailureArrivesAsItWasThrown() {
    RDD<PlacedKeyValues> runs =
        runs(
            block -> {
              throw new IOException("lost " + block.start());
            });
    try (RunPrefetcher prefetcher = prefetcher(runs, runs.partitions()[1])) {
      assertThatThrownBy(prefetcher::next).isInstanceOf(IOException.class).hasMessage("lost 1");
    }
  }

  @Test
  void closingWaitsForTheReadingThread() throws InterruptedException {
    closing = Thread.currentThread();
    RDD<PlacedKeyValues> runs = runs(RunPrefetcherTest::endWhenAwaited);
    try (RunPrefetcher prefetcher = prefetcher(runs, runs.partitions()[0])) {
      READING.await();
      assertThat(prefetcher.hasNext()).isTrue();
    }
    assertThat(ended).isTrue();
  }

  /** Blocks until it is interrupted, and then goes on until the closing thread waits for it. */
  private static PlacedKeyValues endWhenAwaited(Block block) {
    READING.countDown();
    try {
      new CountDownLatch(1).await();
    } catch (InterruptedException e) {
      while (closing.getState() == Thread.State.RUNNABLE) {
        Thread.onSpinWait();
      }
      ended = true;
    }
    return packed(block);
  }
}

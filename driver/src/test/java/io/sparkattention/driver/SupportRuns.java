package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.io.SafetensorsInput;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.spark.sql.SparkSession;

/**
 * Runs cells, each by both exchanges and with shards that take turns, and compares the two bit by
 * bit and with the formula.
 */
final class SupportRuns {
  /** What a cell that came out right shows. */
  static final String RIGHT = "✓";

  /** Shards go from 1 to this. */
  private static final int MAX_SHARDS = 7;

  /** So far is the number of shards of the one exchange from that of the other. */
  private static final int SHARDS_APART = 3;

  /** Runs at once: tasks are so short that a slot waits for Spark's driver most of the time. */
  private static final int THREADS = 2;

  /** A run measures the peak, which nobody reads here. */
  private static final double PEAK_SECONDS = 0;

  private final SparkSession spark = LocalSession.get();
  private final Path folder;

  SupportRuns(Path folder) {
    this.folder = folder;
  }

  /**
   * Runs all cells.
   *
   * @return of each cell {@link #RIGHT} or the message of its refusal
   * @throws AssertionError that names every cell that is wrong
   */
  List<String> attend(List<SupportCell> cells) throws InterruptedException {
    ExecutorService threads = Executors.newFixedThreadPool(THREADS);
    List<Future<String>> running = new ArrayList<>();
    for (int i = 0; i < cells.size(); i++) {
      int index = i;
      running.add(threads.submit(() -> attend(cells.get(index), index)));
    }
    threads.shutdown();
    List<String> results = new ArrayList<>();
    List<String> wrong = new ArrayList<>();
    for (int i = 0; i < cells.size(); i++) {
      try {
        results.add(running.get(i).get());
      } catch (ExecutionException e) {
        wrong.add(cells.get(i) + ": " + e.getCause());
      }
    }
    assertThat(wrong).as("cells that are wrong").isEmpty();
    return results;
  }

  private String attend(SupportCell cell, int index) {
    Path in = folder.resolve(index + ".safetensors");
    cell.file().write(in);
    int shards = 1 + index % MAX_SHARDS;
    List<Attended> ring;
    try {
      ring = attend(cell, in, "ring", shards);
    } catch (InvalidInputException e) {
      return refusal(cell, e.getMessage());
    }
    cell.assertExact(ring);
    int others = 1 + (index + SHARDS_APART) % MAX_SHARDS;
    List<Attended> reduce = attend(cell, in, "reduce", others);
    for (int b = 0; b < ring.size(); b++) {
      reduce
          .get(b)
          .assertSameBits(
              ring.get(b),
              "sequence %d, ring over %d shards and reduce over %d".formatted(b, shards, others));
    }
    return RIGHT;
  }

  private List<Attended> attend(SupportCell cell, Path in, String exchange, int shards) {
    AttentionConfig config = cell.config(spark.sparkContext().conf(), exchange, shards);
    CollectedOutput out = new CollectedOutput();
    new DistributedAttention(spark, PEAK_SECONDS)
        .run(SafetensorsInput.open(spark, in.toString(), config), config, out);
    return out.sequences();
  }

  /** A refusal names all that does not go together. */
  private static String refusal(SupportCell cell, String message) {
    for (MaskKind mask : cell.masks()) {
      assertThat(message).as("%s", cell).contains(mask.text());
    }
    for (ScoreFunction function : cell.functions().all()) {
      assertThat(message).as("%s", cell).contains(function.label().replace("`", ""));
    }
    return message;
  }
}

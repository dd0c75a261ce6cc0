package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.awaitility.Awaitility.await;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.driver.exchange.ScoreBlock;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsInput;
import io.sparkattention.kernels.HeadLayout;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.storage.BlockId;
import org.apache.spark.storage.BlockManager;
import org.apache.spark.storage.BlockResult;
import org.apache.spark.storage.BroadcastBlockId;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import scala.Option;
import scala.jdk.javaapi.CollectionConverters;

/** A run that fails names the reason and leaves nothing: no output, no half of one, no memory. */
class FailureTest {
  private static final HeadLayout LAYOUT = new HeadLayout(4, 2, 8, 16);
  private static final int TOKENS = 100;

  private final SparkSession spark = LocalSession.get();
  private final AttentionFiles files = new AttentionFiles(spark);
  @TempDir private Path folder;

  private static Map<Key, String> options(String exchange) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.BLOCK_TOKENS, "16");
    options.put(Key.SHARDS, exchange.equals("barrier") ? "2" : "3");
    options.put(Key.NUM_HEADS, "4");
    options.put(Key.NUM_KV_HEADS, "2");
    return options;
  }

  private static RandomSequence sequence() {
    return RandomSequence.of(151, LAYOUT, TOKENS, TOKENS);
  }

  /** The message of the one cause that is for a person. */
  private static String reason(Throwable thrown) {
    for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      if (cause instanceof InvalidInputException) {
        return cause.getMessage();
      }
    }
    throw new AssertionError("no InvalidInputException", thrown);
  }

  private List<String> names() throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.map(entry -> entry.getFileName().toString()).sorted().toList();
    }
  }

  private void assertNothingKept() {
    assertThat(spark.sparkContext().getPersistentRDDs().isEmpty()).as("no RDD is kept").isTrue();
    assertThat(spark.sparkContext().getLocalProperty("spark.job.description")).isNull();
    // Spark removes blocks in the background.
    await().atMost(Duration.ofMinutes(1)).until(() -> !exchangesHold());
  }

  /** Whether any broadcast variable in this JVM's storage is that of an exchange. */
  private static boolean exchangesHold() {
    BlockManager blocks = SparkEnv.get().blockManager();
    return CollectionConverters.asJava(blocks.getMatchingBlockIds(FailureTest::isBroadcastValue))
        .stream()
        .anyMatch(id -> isOfAnExchange(blocks, id));
  }

  private static boolean isBroadcastValue(BlockId id) {
    return id instanceof BroadcastBlockId broadcast && broadcast.field().isEmpty();
  }

  private static boolean isOfAnExchange(BlockManager blocks, BlockId id) {
    Option<BlockResult> found = blocks.getLocalValues(id);
    boolean ofAnExchange = false;
    // To its end: that releases the lock on the block.
    while (found.isDefined() && found.get().data().hasNext()) {
      Class<?> type = found.get().data().next().getClass();
      type = type.isArray() ? type.getComponentType() : type;
      ofAnExchange |= type.getPackage() == PlacedQueries.class.getPackage();
    }
    return ofAnExchange;
  }

  @ParameterizedTest
  @CsvSource({
    "query, 3, NaN, ring",
    "key,   1, Infinity, reduce",
    "value, 0, -Infinity, ring",
    "value, 1, NaN, reduce"
  })
  void aTensorElementThatIsNotFinite(String tensor, int head, float wrong, String exchange)
      throws IOException {
    List<RandomSequence> batch = List.of(sequence(), sequence());
    put(batch.get(1), tensor, head, 77, wrong);
    Path in = folder.resolve("in.safetensors");
    files.writeTensors(in, DataType.F32, 4, batch);
    Path out = folder.resolve("out.safetensors");

    Throwable thrown = catchThrowable(() -> files.attend(in, out, options(exchange)));
    assertThat(reason(thrown))
        .startsWith(
            "Invalid %s in sequence '1', head %d, position 77: found %s, expected finite"
                .formatted(tensor, head, wrong));
    assertThat(names()).containsExactly("in.safetensors");
    assertNothingKept();
  }

  private static void put(
      RandomSequence sequence, String tensor, int head, int position, float wrong) {
    int row = head * TOKENS + position;
    switch (tensor) {
      case "query" -> sequence.query()[row * LAYOUT.keyDim() + 5] = wrong;
      case "key" -> sequence.key()[row * LAYOUT.keyDim() + 5] = wrong;
      default -> sequence.value()[row * LAYOUT.valueDim() + 5] = wrong;
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"query", "key", "value"})
  void aTableElementThatIsNotFinite(String column) throws IOException {
    RandomSequence wrong = sequence();
    put(wrong, column, 1, 42, Float.NaN);
    Path in = folder.resolve("in");
    files.writeTable(in, 2, "string", Map.of("right", sequence(), "wrong", wrong));
    Path out = folder.resolve("out");

    Throwable thrown = catchThrowable(() -> files.attend(in, out, options("auto")));
    assertThat(reason(thrown))
        .startsWith(
            "Invalid %s in sequence 'wrong', head 1, position 42: found NaN, expected finite"
                .formatted(column));
    assertThat(names()).containsExactly("in");
    assertNothingKept();
  }

  /** Found by the kernel, in the middle of the attention itself. */
  @ParameterizedTest
  @ValueSource(strings = {"ring", "barrier", "reduce"})
  void aScoreOutOfRange(String exchange) throws IOException {
    RandomSequence wrong = sequence();
    for (int d = 0; d < LAYOUT.keyDim(); d++) {
      wrong.query()[(2 * TOKENS + 50) * LAYOUT.keyDim() + d] = 1e4f;
      wrong.key()[(TOKENS + 90) * LAYOUT.keyDim() + d] = 1e4f;
    }
    Path in = folder.resolve("in.safetensors");
    files.writeTensors(in, DataType.F32, 4, List.of(wrong));
    Path out = folder.resolve("out.safetensors");

    Throwable thrown = catchThrowable(() -> files.attend(in, out, options(exchange)));
    assertThat(reason(thrown))
        .startsWith("Invalid score in sequence '0', head 2, position 50: found ");
    assertThat(names()).containsExactly("in.safetensors");
    assertNothingKept();
  }

  /** As when a user gives up: the scalar kernel is busy for long enough. */
  @ParameterizedTest
  @ValueSource(strings = {"ring", "barrier", "reduce"})
  void aCancelledRun(String exchange) throws IOException {
    RandomSequence big = RandomSequence.of(171, LAYOUT, 20_000, 20_000);
    Path in = folder.resolve("in.safetensors");
    Path out = folder.resolve("out.safetensors");
    files.writeTensors(in, DataType.F32, 4, List.of(big));
    Map<Key, String> options = options(exchange);
    options.put(Key.KERNEL, "scalar");
    options.put(Key.BLOCK_TOKENS, "500");
    AttentionTasks tasks = new AttentionTasks();
    spark.sparkContext().addSparkListener(tasks);
    try {
      CompletableFuture<AttentionReport> run =
          CompletableFuture.supplyAsync(() -> files.attend(in, out, options));
      await().atMost(Duration.ofMinutes(1)).until(() -> tasks.running() > 0 || run.isDone());
      spark.sparkContext().cancelAllJobs();
      assertThat(catchThrowable(run::join)).hasMessageContaining("cancel");
      await().atMost(Duration.ofMinutes(1)).until(() -> tasks.running() == 0);
    } finally {
      spark.sparkContext().removeSparkListener(tasks);
    }
    assertThat(Thread.getAllStackTraces().keySet())
        .extracting(Thread::getName)
        .noneMatch(
            name -> name.startsWith("attention-prefetch") || name.startsWith("attention-serve"));
    assertThat(names()).containsExactly("in.safetensors");
    assertNothingKept();
  }

  /** Rows that are lost while they are written are computed again; the report does not move. */
  @Test
  void theReportEndsWithTheAttention() {
    Path in = folder.resolve("in.safetensors");
    files.writeTensors(in, DataType.F32, 4, List.of(sequence()));
    AttentionConfig config = AttentionConfig.resolve(options("ring"), spark.sparkContext().conf());
    AttentionTasks tasks = new AttentionTasks();
    spark.sparkContext().addSparkListener(tasks);
    AttentionReport report;
    try {
      report =
          new DistributedAttention(spark)
              .run(SafetensorsInput.open(spark, in.toString(), config), config, new LosingOutput());
      await().atMost(Duration.ofMinutes(1)).until(() -> tasks.running() == 0);
    } finally {
      spark.sparkContext().removeSparkListener(tasks);
    }
    assertThat(report.attentionSeconds()).isPositive().isLessThanOrEqualTo(tasks.seconds());
  }

  /** Computes all rows once more. */
  private static final class LosingOutput implements AttentionOutput {
    @Override
    public void check(AttentionPlan plan) {}

    @Override
    public void write(
        AttentionPlan plan, JavaRDD<AttentionRows> rows, Optional<JavaRDD<ScoreBlock>> scores) {
      assertThat(rows.unpersist(true).count()).isEqualTo(plan.queryBlocks().size());
    }
  }

  /** What was there stays as it was, also where it was to be replaced. */
  @ParameterizedTest
  @CsvSource({"out.safetensors, true", "out.safetensors, false", "out, true", "out, false"})
  void anExistingOutputStays(String name, boolean overwrite) throws IOException {
    Path right = folder.resolve("right.safetensors");
    Path wrong = folder.resolve("wrong.safetensors");
    RandomSequence infinite = sequence();
    put(infinite, "value", 0, 0, Float.POSITIVE_INFINITY);
    files.writeTensors(right, DataType.F32, 4, List.of(sequence()));
    files.writeTensors(wrong, DataType.F32, 4, List.of(infinite));
    Path out = folder.resolve(name);
    files.attend(right, out, options("ring"));
    List<String> before = contents(out);
    List<String> namesBefore = names();

    Throwable thrown = catchThrowable(() -> files.attend(wrong, out, overwrite, options("ring")));
    assertThat(reason(thrown)).startsWith(overwrite ? "Invalid value" : "Cannot write");
    assertThat(contents(out)).isEqualTo(before);
    assertThat(names()).isEqualTo(namesBefore);
    assertNothingKept();
  }

  /** Every file at or below a path: its name and its bytes. */
  private static List<String> contents(Path path) throws IOException {
    try (Stream<Path> paths = Files.walk(path)) {
      return paths
          .filter(Files::isRegularFile)
          .sorted()
          .map(
              file -> {
                try {
                  return file + " " + java.util.HexFormat.of().formatHex(Files.readAllBytes(file));
                } catch (IOException e) {
                  throw new java.io.UncheckedIOException(e);
                }
              })
          .toList();
    }
  }

  @Test
  void overwritingReplacesAndASuccessKeepsNothingEither() throws IOException {
    Path in = folder.resolve("in.safetensors");
    Path out = folder.resolve("out.safetensors");
    files.writeTensors(in, DataType.F32, 4, List.of(sequence()));
    Files.writeString(out, "old");
    files.attend(in, out, true, options("reduce"));
    assertThat(files.readTensors(out, LAYOUT)).hasSize(1);
    assertThat(names()).containsExactly("in.safetensors", "out.safetensors");
    assertNothingKept();
  }
}

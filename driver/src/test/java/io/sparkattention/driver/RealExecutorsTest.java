package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import scala.Tuple2;

/** Two executor processes: the same bits as in one, also when one of them is killed. */
class RealExecutorsTest {
  private static final HeadLayout LAYOUT = new HeadLayout(2, 1, 64, 64);
  private static final int TOKENS = 8_000;
  private static final int BLOCK_TOKENS = 500;
  private static final RandomSequence SEQUENCE = RandomSequence.of(161, LAYOUT, TOKENS, TOKENS);

  @TempDir private static Path folder;
  private static SparkSession spark;
  private static AttentionFiles files;
  private static Path in;
  private static Path table;

  /** The bits of a single thread. */
  private static Attended expected;

  @BeforeAll
  static void start() {
    LocalSession.stop();
    spark =
        SparkSession.builder()
            .config(
                LocalClusters.conf(2, 1)
                    .set("spark.kryo.registrator", AttentionKryoRegistrator.class.getName()))
            .getOrCreate();
    files = new AttentionFiles(spark);
    in = folder.resolve("in.safetensors");
    table = folder.resolve("table");
    files.writeTensors(in, DataType.F32, 4, List.of(SEQUENCE));
    files.writeTable(table, 3, "string", Map.of("s", SEQUENCE));
    expected = SEQUENCE.alone(AttentionMask.causal(), BLOCK_TOKENS);
  }

  @AfterAll
  static void stop() {
    LocalSession.stop();
  }

  private static Map<Key, String> options(String exchange) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, "causal");
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.NUM_HEADS, "2");
    options.put(Key.NUM_KV_HEADS, "1");
    options.put(Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS));
    options.put(Key.SHARDS, "4");
    return options;
  }

  @ParameterizedTest
  @ValueSource(strings = {"ring", "reduce", "heads", "broadcast"})
  void theSameBitsAndBytesMove(String exchange) {
    Path out = folder.resolve(exchange + AttentionFiles.SAFETENSORS);
    Map<Key, String> options = options(exchange);
    options.remove(Key.NUM_KV_HEADS);
    options.remove(Key.NUM_HEADS);
    AttentionReport report = files.attend(in, out, options);
    files.readTensors(out, LAYOUT).get(0).assertSameBits(expected, SEQUENCE);
    assertThat(report.bytesMoved()).isPositive();
    // A single key/value head has a single owner.
    assertThat(report.cores()).isEqualTo(exchange.equals("heads") ? 1 : 2);
    assertThat(report.attentionSeconds()).isPositive();
    assertThat(report.peakHeapBytes()).isPositive();
  }

  @ParameterizedTest
  @ValueSource(strings = {"ring", "reduce"})
  void aTableHasTheSameBitsToo(String exchange) {
    Path out = folder.resolve("table-" + exchange);
    files.attend(table, out, options(exchange));
    files.readTable(out, LAYOUT).get(0).assertSameBits(expected, SEQUENCE);
  }

  /**
   * Kills the first executor that has finished an attention task and runs another: its keys and
   * values, its finished rows and a running task are lost. The scalar kernel makes the stage last
   * for seconds.
   */
  @ParameterizedTest
  @CsvSource({"ring, tensors", "ring, table", "reduce, tensors", "broadcast, tensors"})
  void aKilledExecutorChangesNothing(String exchange, String form) {
    Path from = form.equals("table") ? table : in;
    String name = "killed-" + exchange + "-" + form;
    Path out = folder.resolve(form.equals("table") ? name : name + AttentionFiles.SAFETENSORS);
    Map<Key, String> options = options(exchange);
    options.put(Key.KERNEL, "scalar");
    options.put(Key.SHARDS, "8");
    killed(from, out, options, new AttentionTasks());
    List<Attended> found =
        form.equals("table") ? files.readTable(out, LAYOUT) : files.readTensors(out, LAYOUT);
    found.get(0).assertSameBits(expected, SEQUENCE);
  }

  /** Kills the first executor that the tasks say is busy again. */
  private static void killed(Path from, Path out, Map<Key, String> options, AttentionTasks tasks) {
    Map<String, Long> processes = processes();
    spark.sparkContext().addSparkListener(tasks);
    try {
      CompletableFuture<AttentionReport> run =
          CompletableFuture.supplyAsync(() -> files.attend(from, out, options));
      String victim =
          await()
              .atMost(Duration.ofMinutes(2))
              .pollInterval(Duration.ofMillis(5))
              .until(
                  () -> run.isDone() ? Optional.of("none") : tasks.busyAgain(), Optional::isPresent)
              .orElseThrow();
      assertThat(processes).as("the run is not over yet: %s", run).containsKey(victim);
      ProcessHandle process = ProcessHandle.of(processes.get(victim)).orElseThrow();
      assertThat(process.destroyForcibly()).isTrue();

      await().atMost(Duration.ofMinutes(3)).until(run::isDone);
      assertThat(run.join().exchange()).isEqualTo(options.get(Key.EXCHANGE));
      assertThat(tasks.removed()).contains(victim);
    } finally {
      spark.sparkContext().removeSparkListener(tasks);
    }
  }

  /** Heads of eight owners: what the lost one had shuffled is lost, too. */
  @Test
  void aKilledExecutorOfHeadsChangesNothing() {
    HeadLayout layout = new HeadLayout(8, 8, 32, 32);
    RandomSequence sequence = RandomSequence.of(163, layout, 6_000, 6_000);
    Path from = folder.resolve("heads-in" + AttentionFiles.SAFETENSORS);
    Path out = folder.resolve("heads-killed" + AttentionFiles.SAFETENSORS);
    files.writeTensors(from, DataType.F32, 4, List.of(sequence));
    Map<Key, String> options = options("heads");
    options.remove(Key.NUM_KV_HEADS);
    options.remove(Key.NUM_HEADS);
    options.put(Key.KERNEL, "scalar");
    options.put(Key.SHARDS, "8");
    killed(from, out, options, new AttentionTasks("RingAttentionRdd"));
    files
        .readTensors(out, layout)
        .get(0)
        .assertSameBits(sequence.alone(AttentionMask.causal(), BLOCK_TOKENS), sequence);
  }

  /** The process of each executor; waits until there are two. */
  private static Map<String, Long> processes() {
    JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    Map<String, Long> processes = new HashMap<>();
    await()
        .atMost(Duration.ofMinutes(1))
        .until(
            () -> {
              processes.clear();
              context
                  .parallelize(List.of(1, 2, 3, 4), 4)
                  .map(
                      number ->
                          new Tuple2<>(SparkEnv.get().executorId(), ProcessHandle.current().pid()))
                  .collect()
                  .forEach(executor -> processes.put(executor._1(), executor._2()));
              return processes.size() == 2;
            });
    return processes;
  }
}

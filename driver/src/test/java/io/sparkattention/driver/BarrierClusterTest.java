package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import scala.Tuple2;

/** The barrier exchange between two executor processes: plain, encrypted, and with a loss. */
class BarrierClusterTest {
  private static final HeadLayout LAYOUT = new HeadLayout(2, 1, 64, 64);
  private static final int TOKENS = 8_000;
  private static final int BLOCK_TOKENS = 500;
  private static final RandomSequence SEQUENCE = RandomSequence.of(191, LAYOUT, TOKENS, TOKENS);

  /** Each rank has half of the tokens, with two vectors of 64 numbers each. */
  private static final long SHARD_BYTES = TOKENS / 2 * 2L * 64 * Float.BYTES;

  /** Rows of a rank: two heads of 64 numbers and a log-sum-exp, and a little to frame them. */
  private static final long ROW_BYTES = TOKENS / 2 * 2L * (64 + 4) * Float.BYTES;

  @TempDir private static Path folder;

  /** The bits of a single thread. */
  private static Attended expected;

  private SparkSession spark;
  private AttentionFiles files;
  private Path in;

  @BeforeAll
  static void computeAlone() {
    expected = SEQUENCE.alone(AttentionMask.causal(), BLOCK_TOKENS);
  }

  @AfterEach
  void stop() {
    LocalSession.stop();
  }

  private static SparkConf conf() {
    return LocalClusters.conf(2, 1)
        .set("spark.kryo.registrator", AttentionKryoRegistrator.class.getName());
  }

  private void start(SparkConf conf) {
    LocalSession.stop();
    spark = SparkSession.builder().config(conf).getOrCreate();
    files = new AttentionFiles(spark);
    in = folder.resolve("in.safetensors");
    if (Files.notExists(in)) {
      files.writeTensors(in, DataType.F32, 4, List.of(SEQUENCE));
    }
  }

  private static Map<Key, String> options() {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, "causal");
    options.put(Key.EXCHANGE, "barrier");
    options.put(Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS));
    options.put(Key.SHARDS, "2");
    return options;
  }

  private void assertTheSameBits(String name) {
    Path out = folder.resolve(name + AttentionFiles.SAFETENSORS);
    AttentionReport report = files.attend(in, out, options());
    files.readTensors(out, LAYOUT).get(0).assertSameBits(expected, SEQUENCE);
    // Balanced, both ranks have late queries, so that each reads the other's shard. The rows behind
    // the shuffle are as large; Spark knows the host that they lie on, but not which of its two
    // executors.
    assertThat(report.bytesMoved()).isBetween(2 * SHARD_BYTES, 2 * SHARD_BYTES + 2 * ROW_BYTES);
    assertThat(report.attentionSeconds()).isPositive();
    assertThat(report.peakHeapBytes()).isPositive();
  }

  @Test
  void theSameBitsAlsoFromATableAndWhenAnExecutorIsKilled() {
    start(conf());
    assertTheSameBits("plain");

    Path table = folder.resolve("table");
    files.writeTable(table, 3, "string", Map.of("s", SEQUENCE));
    Map<Key, String> options = options();
    options.put(Key.NUM_HEADS, "2");
    options.put(Key.NUM_KV_HEADS, "1");
    Path out = folder.resolve("table-out");
    files.attend(table, out, options);
    files.readTable(out, LAYOUT).get(0).assertSameBits(expected, SEQUENCE);

    // Of the table, whose rows went through a shuffle that is lost in part, too.
    options.put(Key.KERNEL, "scalar");
    Path killed = folder.resolve("killed-out");
    killOneDuring(() -> files.attend(table, killed, options));
    files.readTable(killed, LAYOUT).get(0).assertSameBits(expected, SEQUENCE);
  }

  /** Kills an executor once both ranks run; the scalar kernel makes them run for seconds. */
  private void killOneDuring(java.util.function.Supplier<AttentionReport> attend) {
    Map<String, Long> processes = processes();
    AttentionTasks tasks = new AttentionTasks();
    spark.sparkContext().addSparkListener(tasks);
    try {
      CompletableFuture<AttentionReport> run = CompletableFuture.supplyAsync(attend);
      await()
          .atMost(Duration.ofMinutes(2))
          .pollInterval(Duration.ofMillis(5))
          .until(() -> run.isDone() || tasks.running() == 2);
      assertThat(run).isNotDone();
      Map.Entry<String, Long> victim = processes.entrySet().iterator().next();
      ProcessHandle process = ProcessHandle.of(victim.getValue()).orElseThrow();
      assertThat(process.destroyForcibly()).isTrue();

      await().atMost(Duration.ofMinutes(3)).until(run::isDone);
      assertThat(run.join().exchange()).isEqualTo("barrier");
      assertThat(tasks.removed()).contains(victim.getKey());
    } finally {
      spark.sparkContext().removeSparkListener(tasks);
    }
  }

  @Test
  void withTheClustersSecretAndAes() {
    start(
        conf()
            .set("spark.authenticate", "true")
            .set("spark.authenticate.secret", "a secret of this test")
            .set("spark.network.crypto.enabled", "true"));
    assertTheSameBits("aes");
  }

  @Test
  void withTls() throws IOException, InterruptedException {
    start(KeyStores.withTls(conf(), folder));
    assertTheSameBits("tls");
  }

  /** The process of each executor; waits until there are two. */
  private Map<String, Long> processes() {
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

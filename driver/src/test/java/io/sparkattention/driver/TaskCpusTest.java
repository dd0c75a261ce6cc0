package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Tasks of several CPUs ({@code spark.task.cpus}) compute on as many threads, to the same bits. */
class TaskCpusTest {
  private static final HeadLayout LAYOUT = new HeadLayout(2, 1, 64, 64);
  private static final int TOKENS = 3_000;
  private static final int BLOCK_TOKENS = 1024;
  private static final RandomSequence SEQUENCE = RandomSequence.of(171, LAYOUT, TOKENS, TOKENS);
  private static final int CPUS = 2;

  @TempDir private static Path folder;
  private static AttentionFiles files;

  @BeforeAll
  static void start() {
    LocalSession.stop();
    files =
        new AttentionFiles(
            SparkSession.builder()
                .master("local[4]")
                .config("spark.task.cpus", CPUS)
                .config("spark.ui.enabled", false)
                .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
                .config("spark.kryo.registrator", AttentionKryoRegistrator.class.getName())
                .getOrCreate());
  }

  @AfterAll
  static void stop() {
    LocalSession.stop();
  }

  @ParameterizedTest
  @ValueSource(strings = {"ring", "reduce"})
  void aTaskUsesItsCpus(String exchange) {
    Path in = folder.resolve(exchange + "-in.safetensors");
    Path out = folder.resolve(exchange + "-out.safetensors");
    files.writeTensors(in, DataType.F32, 4, List.of(SEQUENCE));
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, "causal");
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS));
    AttentionReport report = files.attend(in, out, options);

    assertThat(report.shards()).as("tasks at once").isEqualTo(2);
    assertThat(report.cores()).isEqualTo(2 * CPUS);
    assertThat(Thread.getAllStackTraces().keySet())
        .extracting(Thread::getName)
        .anyMatch(name -> name.startsWith("attention-fold-"));
    files
        .readTensors(out, LAYOUT)
        .get(0)
        .assertSameBits(SEQUENCE.alone(AttentionMask.causal(), BLOCK_TOKENS), SEQUENCE);
  }
}

package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Two executor processes: what Spark counts of moved bytes is what the plan says. */
class BytesMovedTest {
  /** 1 KiB of keys and values per token. */
  private static final HeadLayout LAYOUT = new HeadLayout(2, 2, 64, 64);

  private static final int BLOCK_TOKENS = 256;
  private static final long BLOCK_BYTES = BLOCK_TOKENS * 1024L;
  private static final int TOKENS = 16 * BLOCK_TOKENS;
  private static final RandomSequence SEQUENCE = RandomSequence.of(171, LAYOUT, TOKENS, TOKENS);

  @TempDir private static Path folder;
  private static AttentionFiles files;
  private static Path in;

  @BeforeAll
  static void start() {
    LocalSession.stop();
    SparkConf conf =
        LocalClusters.conf(2, 2)
            .set("spark.kryo.registrator", AttentionKryoRegistrator.class.getName())
            // On a busy machine a short wait would let a task go where the plan has it not.
            .set("spark.locality.wait", "60s");
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    // The plan is for the executors that are there, besides the driver.
    await()
        .atMost(Duration.ofMinutes(2))
        .until(() -> spark.sparkContext().getExecutorMemoryStatus().size() == 3);
    files = new AttentionFiles(spark);
    in = folder.resolve("in.safetensors");
    files.writeTensors(in, DataType.F32, 4, List.of(SEQUENCE));
  }

  @AfterAll
  static void stop() {
    LocalSession.stop();
  }

  private static Map<Key, String> options(String mask, String exchange, int shards) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, mask);
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.BLOCK_TOKENS, Integer.toString(BLOCK_TOKENS));
    options.put(Key.SHARDS, Integer.toString(shards));
    return options;
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "full; ring; 4",
        "causal; ring; 8",
        "sliding-window:700; ring; 4",
        "full; reduce; 4",
        "causal; reduce; 4",
        "sliding-window:700; reduce; 4",
        "full; broadcast; 4",
        "causal; broadcast; 2",
        "sliding-window:700; broadcast; 4",
        "full; heads; 4",
        "causal; heads; 4",
        "sliding-window:700; heads; 4",
        "full; barrier; 4",
        "causal; barrier; 4",
        "sliding-window:700; barrier; 4"
      })
  void areThoseOfThePlan(String mask, String exchange, int shards) {
    Path out = folder.resolve(exchange + AttentionFiles.SAFETENSORS);
    AttentionReport report = files.attend(in, out, true, options(mask, exchange, shards));
    assertThat((double) report.bytesMoved())
        .as("%s, %s over %d shards, %s", mask, exchange, shards, report.assignment())
        .isCloseTo(report.bytesPlanned(), within(0.1 * report.bytesPlanned()))
        .isPositive();
    files
        .readTensors(out, LAYOUT)
        .get(0)
        .assertSameBits(SEQUENCE.alone(AttentionMask.parse(mask), BLOCK_TOKENS), SEQUENCE);
  }

  /**
   * The one border between the executors' shards is crossed by the keys of a window, whose 700
   * tokens to the left lie in three blocks, whatever the number of tokens.
   */
  @Test
  void aWindowOver64ShardsMovesAWindow() {
    int tokens = 64 * BLOCK_TOKENS;
    RandomSequence sequence = RandomSequence.of(172, LAYOUT, tokens, tokens);
    Path longer = folder.resolve("long.safetensors");
    Path out = folder.resolve("long-out.safetensors");
    files.writeTensors(longer, DataType.F32, 4, List.of(sequence));
    AttentionReport report = files.attend(longer, out, options("sliding-window:700", "ring", 64));
    // Beside the packed numbers a block has its shape and norms: less than 1 KiB.
    assertThat(report.bytesMoved()).isPositive().isLessThan(3 * (BLOCK_BYTES + 1024));
    assertThat(report.bytesPlanned()).isEqualTo(3 * BLOCK_BYTES);
    assertThat(report.assignment()).isEqualTo("contiguous");
  }
}

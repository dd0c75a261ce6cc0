package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The barrier exchange in one JVM of two task slots; {@link BarrierClusterTest} has executors. */
class BarrierExchangeTest {
  private static final int TOKENS = 173;

  private final SparkSession spark = LocalSession.get();
  private final AttentionFiles files = new AttentionFiles(spark);
  @TempDir private Path folder;

  private static Map<Key, String> options(String exchange, int shards, String mask) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.SHARDS, Integer.toString(shards));
    options.put(Key.MASK, mask);
    options.put(Key.BLOCK_TOKENS, "32");
    return options;
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "full; 4; 2; 1",
        "causal; 3; 3; 2",
        "sliding-window:20; 4; 1; 2",
        "bigbird:12,3,2,7,16,11; 2; 2; 2",
        "causal & block-top-k:2,16; 4; 2; 2"
      })
  void theBitsOfTheRing(String mask, int numHeads, int numKeyValueHeads, int shards) {
    HeadLayout layout = new HeadLayout(numHeads, numKeyValueHeads, 20, 12);
    List<RandomSequence> batch =
        List.of(
            RandomSequence.of(201, layout, TOKENS, TOKENS),
            RandomSequence.of(202, layout, TOKENS, TOKENS));
    Path in = folder.resolve("in.safetensors");
    files.writeTensors(in, DataType.F32, 4, batch);
    Path ring = folder.resolve("ring.safetensors");
    Path barrier = folder.resolve("barrier.safetensors");
    AttentionReport one = files.attend(in, ring, options("ring", 3, mask));
    AttentionReport other = files.attend(in, barrier, options("barrier", shards, mask));
    for (int b = 0; b < batch.size(); b++) {
      files
          .readTensors(barrier, layout)
          .get(b)
          .assertSameBits(files.readTensors(ring, layout).get(b), mask + ", " + batch.get(b));
    }
    assertThat(other.exchange()).isEqualTo("barrier");
    assertThat(other.bytesMoved()).isZero();
    assertThat(other.unmaskedPairs()).isEqualTo(one.unmaskedPairs());
    assertThat(other.attentionSeconds()).isPositive();
  }

  private Path input() {
    Path in = folder.resolve("in.safetensors");
    files.writeTensors(
        in,
        DataType.F32,
        4,
        List.of(RandomSequence.of(203, new HeadLayout(1, 1, 8, 8), TOKENS, TOKENS)));
    return in;
  }

  private void assertRefused(String message, int shards) {
    Path in = input();
    Path out = folder.resolve("out.safetensors");
    assertThatThrownBy(() -> files.attend(in, out, options("barrier", shards, "full")))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(message);
    assertThat(out).doesNotExist();
  }

  @Test
  void moreShardsThanTaskSlots() {
    assertRefused(
        "Cannot run 8 shards at once by exchange 'barrier': need 8, have 2 task slots; lower"
            + " --shards, add executors or use --exchange ring",
        8);
  }

  /** Spark has no dynamic allocation in local mode, but for its own tests. */
  @Test
  void executorsThatComeAndGo() {
    SparkConf conf = spark.sparkContext().conf();
    List<String> keys =
        List.of("spark.dynamicAllocation.enabled", "spark.dynamicAllocation.testing");
    keys.forEach(key -> conf.set(key, "true"));
    try {
      assertRefused(
          "Cannot use exchange 'barrier' where executors come and go: found"
              + " spark.dynamicAllocation.enabled=true, expected false; switch it off or use"
              + " --exchange ring",
          2);
    } finally {
      keys.forEach(conf::remove);
    }
  }
}

package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.CausalAlignment;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Every way in and out against the formula in float64. */
class ExactnessTest {
  private static final HeadLayout LAYOUT = new HeadLayout(6, 2, 48, 80);

  @TempDir private Path folder;
  private AttentionFiles files;
  private Path in;
  private Path out;

  @BeforeEach
  void open() {
    files = new AttentionFiles(LocalSession.get());
    in = folder.resolve("in.safetensors");
    out = folder.resolve("out.safetensors");
  }

  private static Map<Key, String> options(String mask, String alignment, String exchange) {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, mask);
    options.put(Key.CAUSAL_ALIGNMENT, alignment);
    options.put(Key.EXCHANGE, exchange);
    options.put(Key.BLOCK_TOKENS, "64");
    options.put(Key.SHARDS, "3");
    return options;
  }

  private static void assertExact(
      List<Attended> found,
      List<RandomSequence> batch,
      String mask,
      String alignment,
      double rounding) {
    assertThat(found).hasSameSizeAs(batch);
    for (int b = 0; b < batch.size(); b++) {
      found
          .get(b)
          .assertCloseTo(
              batch.get(b).reference(AttentionMask.parse(mask), CausalAlignment.parse(alignment)),
              rounding,
              mask + " " + alignment + ", " + batch.get(b));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          full                | top-left     | ring
          full                | top-left     | reduce
          causal              | top-left     | ring
          causal              | top-left     | reduce
          causal              | bottom-right | ring
          causal              | bottom-right | reduce
          sliding-window:20,5 | top-left     | ring
          sliding-window:20,5 | bottom-right | reduce
          dilated-window:90,4,30 | bottom-right | ring
          prefix:70 | bottom-right | reduce
          documents:99,1,60,50 | bottom-right | ring
          global-positions:1,100,230 | bottom-right | reduce
          block-sparse:50,0-0,2-1,3-4,4-0 | bottom-right | ring
          bigbird:9,2,2,5,16,15 | bottom-right | reduce
          'causal & (sinks:3 | documents:80,90)' | bottom-right | ring
          """)
  void tensorsEqualTheReference(String mask, String alignment, String exchange) {
    List<RandomSequence> batch = RandomSequence.batch(2, 11, LAYOUT, 150, 231);
    files.writeTensors(in, DataType.F32, 4, batch);
    AttentionReport report = files.attend(in, out, options(mask, alignment, exchange));
    assertExact(files.readTensors(out, LAYOUT), batch, mask, alignment, 0);
    assertThat(report.exchange()).isEqualTo(exchange);
    assertThat(report.tokens()).isEqualTo(300);
    assertThat(report.bytesMoved()).isZero();
  }

  /** The output has the type of the queries: p bits of precision round by at most 2^-p. */
  @ParameterizedTest
  @CsvSource({"F16, 11", "BF16, 8", "F64, 53"})
  void otherTypesOfRankThree(DataType type, int precision) {
    List<RandomSequence> batch =
        RandomSequence.batch(2, 21, LAYOUT, 70, 101).stream().map(s -> s.rounded(type)).toList();
    files.writeTensors(in, type, 3, batch);
    Map<Key, String> options = options("causal", "bottom-right", "auto");
    options.put(Key.NUM_HEADS, "6");
    options.put(Key.NUM_KV_HEADS, "2");
    files.attend(in, out, options);
    assertExact(
        files.readTensors(out, LAYOUT), batch, "causal", "bottom-right", Math.scalb(1, -precision));
  }

  @Test
  void tensorsToTable() {
    List<RandomSequence> batch = RandomSequence.batch(2, 31, LAYOUT, 90, 61);
    files.writeTensors(in, DataType.F32, 4, batch);
    Path table = folder.resolve("table");
    files.attend(in, table, options("full", "top-left", "ring"));
    assertExact(files.readTable(table, LAYOUT), batch, "full", "top-left", 0);
  }

  @Test
  void tableToTensorsOfRankThree() {
    List<RandomSequence> batch = RandomSequence.batch(2, 41, LAYOUT, 120, 120);
    Map<String, RandomSequence> sequences = new LinkedHashMap<>();
    sequences.put("a", batch.get(0));
    sequences.put("b", batch.get(1));
    Path table = folder.resolve("table");
    files.writeTable(table, 3, "string", sequences);
    Map<Key, String> options = options("causal", "top-left", "reduce");
    options.put(Key.NUM_HEADS, "6");
    options.put(Key.NUM_KV_HEADS, "2");
    files.attend(table, out, options);
    assertExact(files.readTensors(out, LAYOUT), batch, "causal", "top-left", 0);
  }
}

package io.sparkattention.driver.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.AttentionReport;
import io.sparkattention.driver.DistributedAttention;
import io.sparkattention.driver.LocalSession;
import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.Block;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;

/** Computed inputs, and the digest by which runs on them are compared. */
class SyntheticInputTest {
  private static final HeadLayout LAYOUT = new HeadLayout(2, 1, 8, 8);

  private final SparkSession spark = LocalSession.get();

  private AttentionConfig config(String... settings) {
    Map<Key, String> options = new HashMap<>();
    options.put(Key.BLOCK_TOKENS, "64");
    for (int i = 0; i < settings.length; i += 2) {
      options.put(Key.valueOf(settings[i]), settings[i + 1]);
    }
    return AttentionConfig.resolve(options, spark.sparkContext().conf());
  }

  private SyntheticInput input(long tokens, long seed) {
    return new SyntheticInput(spark, LAYOUT, tokens, seed);
  }

  private String digest(SyntheticInput input, String... settings) {
    OutputDigest digest = new OutputDigest();
    new DistributedAttention(spark).run(input, config(settings), digest);
    return digest.hex();
  }

  @Test
  void theSameBitsHaveTheSameDigest() {
    String expected = digest(input(300, 1), "MASK", "causal", "SHARDS", "1");
    assertThat(expected).matches("[0-9a-f]{64}");
    assertThat(digest(input(300, 1), "MASK", "causal", "SHARDS", "3", "EXCHANGE", "reduce"))
        .isEqualTo(expected);
    assertThat(digest(input(300, 2), "MASK", "causal", "SHARDS", "1")).isNotEqualTo(expected);
    assertThat(digest(input(300, 1), "SHARDS", "1")).isNotEqualTo(expected);
  }

  /** Of n numbers of a normal distribution the mean is within 5 / √n, but for 1 in 10^6 seeds. */
  @Test
  void numbersHaveMeanZeroAndVarianceOne() {
    SyntheticInput input = input(300, 7);
    // A scale from which the packer keeps no factor: 0.7 · log2(e) is in [1, 2).
    AttentionPlan plan = new DistributedAttention(spark).plan(input, config("SCALE", "0.7"));
    double sum = 0;
    double squares = 0;
    int count = 0;
    for (PlacedQueries block : input.queries(plan).collect()) {
      for (float x : block.queries().strips()) {
        sum += x;
        squares += x * x;
        // The last strip is padded with zeros.
        count += x == 0 ? 0 : 1;
      }
    }
    assertThat(count).isEqualTo(300 * LAYOUT.numHeads() * LAYOUT.keyDim());
    assertThat(sum / count).isCloseTo(0, within(5 / Math.sqrt(count)));
    assertThat(squares / count).isCloseTo(1, within(5 * Math.sqrt(2.0 / count)));
  }

  @Test
  void theDigestTellsASingleBitAndABlocksPlace() {
    Block first = new Block(0, 0, 2);
    Block second = new Block(0, 2, 4);
    String expected = digest(rows(first, 1), rows(second, 2));
    assertThat(digest(rows(second, 2), rows(first, 1))).isEqualTo(expected);
    assertThat(digest(rows(first, 2), rows(second, 1))).isNotEqualTo(expected);
    assertThat(digest(rows(first, 1), rows(second, Math.nextUp(2f)))).isNotEqualTo(expected);
    assertThatThrownBy(() -> new OutputDigest().hex()).isInstanceOf(IllegalStateException.class);
  }

  private static AttentionRows rows(Block block, float number) {
    return new AttentionRows(block, new float[] {number, 0}, new float[] {0, 0});
  }

  private String digest(AttentionRows... rows) {
    OutputDigest digest = new OutputDigest();
    JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    digest.write(null, context.parallelize(List.of(rows), 2), Optional.empty());
    return digest.hex();
  }

  @Test
  void theReportSplitsTheTime() {
    for (String exchange : List.of("ring", "reduce")) {
      AttentionReport report =
          new DistributedAttention(spark)
              .run(
                  input(2_000, 1),
                  config("SHARDS", "2", "EXCHANGE", exchange, "KERNEL", "scalar"),
                  new OutputDigest());
      assertThat(report.computeSeconds()).as(exchange).isPositive();
      assertThat(report.finishSeconds()).as(exchange).isPositive();
      assertThat(report.waitSeconds()).as(exchange).isNotNegative();
      assertThat(report.fetchSeconds()).as(exchange).isNotNegative();
      // Two slots; the clock of attentionSeconds counts in milliseconds.
      assertThat(report.computeSeconds() + report.waitSeconds() + report.finishSeconds())
          .as(exchange)
          .isLessThan(2 * (report.attentionSeconds() + 2e-3));
    }
  }
}

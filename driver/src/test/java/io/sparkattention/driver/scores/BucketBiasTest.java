package io.sparkattention.driver.scores;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BucketBiasTest {
  /** 32 buckets up to distance 128, as all T5 models have them; one head whose weights count. */
  private static BucketBias t5(String kind) {
    return parse(kind + ",128," + counting(32)).forHeads(1);
  }

  private static BucketBias.Weights parse(String text) {
    return BucketBias.Weights.parse(
        text,
        name -> {
          throw new AssertionError(name);
        });
  }

  private static String counting(int count) {
    return IntStream.range(0, count).mapToObj(Integer::toString).collect(Collectors.joining(" "));
  }

  /**
   * By hand: of 16 buckets in each direction 8 hold a distance each; bucket 8 + i begins at 8 ·
   * (128 / 8)^(i / 8) = 8 · 2^(i / 2), that is at 8, 11.3, 16, 22.6, 32, 45.3, 64 and 90.5. Keys
   * behind the query have the second 16.
   */
  @ParameterizedTest
  @CsvSource({
    "0, 0",
    "1, 1",
    "7, 7",
    "8, 8",
    "11, 8",
    "12, 9",
    "15, 9",
    "16, 10",
    "22, 10",
    "23, 11",
    "31, 11",
    "32, 12",
    "45, 12",
    "46, 13",
    "63, 13",
    "64, 14",
    "90, 14",
    "91, 15",
    "127, 15",
    "128, 15",
    "129, 15",
    "5000000000, 15"
  })
  void bidirectional(long distance, int bucket) {
    BucketBias bias = t5("bidirectional");
    assertThat(bias.of(0, -distance)).isEqualTo(bucket);
    if (distance > 0) {
      assertThat(bias.of(0, distance)).isEqualTo(16 + bucket);
    }
  }

  /**
   * By hand: 16 of 32 buckets hold a distance each; bucket 16 + i begins at 16 · 8^(i / 16): 16,
   * 18.2, 20.7, 23.6, 26.9, 30.6, 34.9, 39.7, 45.3, 51.5, 58.7, 66.8, 76.1, 86.7, 98.7 and 112.4.
   */
  @ParameterizedTest
  @CsvSource({
    "0, 0",
    "1, 1",
    "15, 15",
    "16, 16",
    "18, 16",
    "19, 17",
    "20, 17",
    "21, 18",
    "23, 18",
    "24, 19",
    "26, 19",
    "27, 20",
    "30, 20",
    "31, 21",
    "34, 21",
    "35, 22",
    "39, 22",
    "40, 23",
    "45, 23",
    "46, 24",
    "51, 24",
    "52, 25",
    "58, 25",
    "59, 26",
    "66, 26",
    "67, 27",
    "76, 27",
    "77, 28",
    "86, 28",
    "87, 29",
    "98, 29",
    "99, 30",
    "112, 30",
    "113, 31",
    "127, 31",
    "128, 31",
    "129, 31",
    "5000000000, 31"
  })
  void causal(long distance, int bucket) {
    BucketBias bias = t5("causal");
    assertThat(bias.of(0, -distance)).isEqualTo(bucket);
    assertThat(bias.of(0, distance)).isZero();
  }

  @Test
  void weightsLieByBucketAndHead() {
    BucketBias bias = parse("causal, 4, 1,2,3 4,5,6").forHeads(3);
    assertThat(new float[] {bias.of(0, 0), bias.of(1, 0), bias.of(2, 0)}).containsExactly(1, 2, 3);
    assertThat(bias.of(1, -1)).isEqualTo(5);
  }

  @Test
  void oneBucketForEachDirection() {
    BucketBias bias = parse("bidirectional,1,7,-inf").forHeads(1);
    assertThat(bias.of(0, 0)).isEqualTo(7);
    assertThat(bias.of(0, -9)).isEqualTo(7);
    assertThat(bias.of(0, 9)).isEqualTo(Float.NEGATIVE_INFINITY);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "causal,128,1 2 3 4 5 | 2 | found 5 weights, expected [buckets, heads] with 2 heads and a"
            + " number of buckets, at least 2; give one row of weights per bucket",
        "causal,128,1 2 3 | 3 | found 3 weights, expected [buckets, heads] with 3 heads and a"
            + " number of buckets, at least 2; give one row of weights per bucket",
        "bidirectional,128,1 2 3 | 1 | found 3 weights, expected [buckets, heads] with 1 heads and"
            + " an even number of buckets, at least 2; give one row of weights per bucket",
        "causal,2,1 2 3 4 | 1 | found MAX_DISTANCE 2, expected more than 2, the distances that 4"
            + " buckets hold one by one; raise it"
      })
  void weightsThatDoNotFit(String text, int heads, String reason) {
    BucketBias.Weights weights = parse(text);
    assertThatThrownBy(() -> weights.forHeads(heads))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage("Invalid --relative-bias: " + reason);
  }
}

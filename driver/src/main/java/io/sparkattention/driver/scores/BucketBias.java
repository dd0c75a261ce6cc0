package io.sparkattention.driver.scores;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.InvalidInputException;
import java.io.Serializable;
import java.util.function.Function;

/**
 * The relative position bias of T5 (Raffel et al. 2020, arXiv:1910.10683, section 2.1): a learned
 * weight per head and bucket of distances, the buckets as Hugging Face's {@code
 * T5Attention._relative_position_bucket} has them. Near distances have a bucket each, farther ones
 * share buckets that grow with the logarithm up to a largest distance.
 */
public final class BucketBias implements RelativeBias {
  private static final long serialVersionUID = 1L;

  private final Weights weights;
  private final int heads;

  /** Buckets of one direction. */
  private final int buckets;

  /** Distances below this have a bucket of their own. */
  private final int exact;

  private BucketBias(Weights weights, int heads) {
    this.weights = weights;
    this.heads = heads;
    int all = weights.numbers.length / heads;
    this.buckets = weights.bidirectional ? all / 2 : all;
    this.exact = buckets / 2;
  }

  /**
   * What was given, before the number of heads is known.
   *
   * @param bidirectional whether keys before and behind the query have buckets of their own; else
   *     all keys behind it share bucket 0
   * @param maxDistance from here on all distances share the last bucket
   * @param numbers [buckets, heads]
   */
  @SuppressWarnings("ArrayRecordComponent") // not written after it was read
  public record Weights(boolean bidirectional, int maxDistance, float[] numbers)
      implements Serializable {
    /**
     * Reads {@code KIND,MAX_DISTANCE,WEIGHTS}.
     *
     * @throws IllegalArgumentException for any other text
     */
    public static Weights parse(String text, Function<String, String> lists) {
      String[] parts = text.split(",", 3);
      boolean bidirectional = parts[0].strip().equals("bidirectional");
      if (parts.length < 3 || !(bidirectional || parts[0].strip().equals("causal"))) {
        throw new IllegalArgumentException("Not KIND,MAX_DISTANCE,WEIGHTS: " + text);
      }
      int maxDistance = Integer.parseInt(parts[1].strip());
      if (maxDistance < 1) {
        throw new IllegalArgumentException("Out of range: " + maxDistance);
      }
      float[] numbers = NumberList.parse(parts[2], Float.NEGATIVE_INFINITY, lists);
      return new Weights(bidirectional, maxDistance, numbers);
    }

    /**
     * The bias for a number of query heads.
     *
     * @throws InvalidInputException if the weights are not those of as many heads, or the largest
     *     distance is one of those that have a bucket of their own
     */
    public BucketBias forHeads(int heads) {
      int rows = numbers.length / heads;
      if (numbers.length % heads != 0 || rows < 2 || (bidirectional && rows % 2 != 0)) {
        throw new InvalidInputException(
            "Invalid %s: found %d weights, expected [buckets, heads] with %d heads and a%s number of buckets, at least 2; give one row of weights per bucket"
                .formatted(
                    Key.RELATIVE_BIAS.option(),
                    numbers.length,
                    heads,
                    bidirectional ? "n even" : ""));
      }
      BucketBias bias = new BucketBias(this, heads);
      if (maxDistance <= bias.exact) {
        throw new InvalidInputException(
            "Invalid %s: found MAX_DISTANCE %d, expected more than %d, the distances that %d buckets hold one by one; raise it"
                .formatted(Key.RELATIVE_BIAS.option(), maxDistance, bias.exact, rows));
      }
      return bias;
    }

    @Override
    public String toString() {
      return "%s,%d,%d weights"
          .formatted(bidirectional ? "bidirectional" : "causal", maxDistance, numbers.length);
    }
  }

  @Override
  public float of(int head, long distance) {
    return weights.numbers[bucket(distance) * heads + head];
  }

  /** The row of weights of a distance. */
  int bucket(long distance) {
    if (!weights.bidirectional) {
      return bucketOf(-Math.min(distance, 0));
    }
    return (distance > 0 ? buckets : 0) + bucketOf(Math.abs(distance));
  }

  private int bucketOf(long distance) {
    if (distance < exact) {
      return (int) distance;
    }
    if (distance >= weights.maxDistance) {
      return buckets - 1;
    }
    // In float32 and in this order, as the model was trained: an edge may lie on a whole number.
    float share =
        (float) StrictMath.log((float) distance / exact)
            / (float) StrictMath.log((double) weights.maxDistance / exact);
    return Math.min(exact + (int) (share * (buckets - exact)), buckets - 1);
  }
}

package io.sparkattention.kernels;

/**
 * Dropout of attention weights (Srivastava et al. 2014; Vaswani et al. 2017, section 5.4): a weight
 * becomes 0 with the given probability and 1 / (1 − probability) times itself else. Which one is a
 * pure function of seed, head and the positions of query and key: no layout of blocks, shards or
 * threads touches it.
 *
 * <p>The factor of the weights that stay enters once, at {@link AttentionState#finish}; the
 * denominator is that of all weights.
 *
 * @param probability of being dropped, in [0, 1); 0: none
 * @param firstQuery position of the query block's first row
 * @param firstKey position of the key block's first row
 */
public record Dropout(double probability, long seed, long firstQuery, long firstKey) {
  /** Drops nothing. */
  public static final Dropout NONE = new Dropout(0, 0, 0, 0);

  /** 2^64 / golden ratio, odd. */
  private static final long HEAD_STEP = 0x9E3779B97F4A7C15L;

  /** 2^32 / golden ratio, odd: consecutive keys are far apart. */
  static final int KEY_STEP = 0x9E3779B9;

  static final int MIX_1 = 0x85EBCA6B;
  static final int MIX_2 = 0xC2B2AE35;

  public Dropout {
    if (!(probability >= 0 && probability < 1)) {
      throw new IllegalArgumentException(
          "Invalid dropout probability: %s (expected from 0 to below 1)".formatted(probability));
    }
  }

  /**
   * The dropout of some of the heads, where they count from 0.
   *
   * @param first the first of them, counted in all heads
   */
  public Dropout fromHead(int first) {
    return new Dropout(probability, seed + first * HEAD_STEP, firstQuery, firstKey);
  }

  boolean drops() {
    return probability > 0;
  }

  /** Whether a weight stays. */
  public boolean keeps(int head, int row, int key) {
    long stream = stream(head, row);
    return hash((int) (firstKey + key), (int) stream, (int) (stream >>> 32)) >= threshold();
  }

  /** Hashes below this, of 31 bits, are dropped. */
  int threshold() {
    return (int) Math.min(Math.rint(probability * 0x1p31), Integer.MAX_VALUE);
  }

  /** 64 random bits of a head's query: SplitMix64's output function (Steele et al. 2014), twice. */
  long stream(int head, int row) {
    return mix(mix(seed + (head + 1) * HEAD_STEP) ^ (firstQuery + row));
  }

  private static long mix(long x) {
    long z = x + HEAD_STEP;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }

  /**
   * 31 random bits of a key: the finalizer of MurmurHash3 with the query's bits at its beginning
   * and in its middle, so that no two queries' sequences are shifts of each other.
   */
  static int hash(int key, int low, int high) {
    int x = key * KEY_STEP + low;
    x = (x ^ (x >>> 16)) * MIX_1;
    x ^= high;
    x = (x ^ (x >>> 13)) * MIX_2;
    return (x ^ (x >>> 16)) >>> 1;
  }
}

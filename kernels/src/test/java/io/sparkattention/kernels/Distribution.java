package io.sparkattention.kernels;

import java.util.Random;

/** Inputs that are hard on the numbers in different ways; one head, unit-normal to begin with. */
public enum Distribution {
  /** The easy one. */
  UNIT_NORMAL("unit-normal") {
    @Override
    void shape(float[] q, float[] k, float[] v, int dim, Random random) {}
  },
  /** Student's t with 3 degrees of freedom: a variance, but no higher moments. */
  HEAVY_TAILED("heavy-tailed") {
    @Override
    void shape(float[] q, float[] k, float[] v, int dim, Random random) {
      for (float[] x : new float[][] {q, k, v}) {
        for (int i = 0; i < x.length; i++) {
          double a = random.nextGaussian();
          double b = random.nextGaussian();
          double c = random.nextGaussian();
          x[i] /= (float) Math.sqrt((a * a + b * b + c * c) / 3);
        }
      }
    }
  },
  /** Rows grow a hundredfold along the sequence: the running maximum keeps moving. */
  GROWING("growing") {
    @Override
    void shape(float[] q, float[] k, float[] v, int dim, Random random) {
      for (int i = 0; i < k.length; i++) {
        float growth = (float) Math.pow(10, 2.0 * (i / dim * dim) / k.length - 1);
        k[i] *= growth;
        v[i] *= growth;
      }
    }
  },
  /** Queries so large that the largest |score| is 10⁴: float32 scores are off by up to 10⁻³. */
  SCORES_1E4("scores ±1e4") {
    @Override
    void shape(float[] q, float[] k, float[] v, int dim, Random random) {
      scaleScores(q, k, dim, 1e4);
    }
  },
  /** Keys that differ in the third digit: all weights count, and their sum has n summands. */
  NEARLY_EQUAL("nearly equal") {
    @Override
    void shape(float[] q, float[] k, float[] v, int dim, Random random) {
      float[] common = AttentionCase.normal(random, dim);
      for (int i = 0; i < k.length; i++) {
        k[i] = common[i % dim] + 1e-3f * k[i];
      }
    }
  },
  /** One key in the middle scores about 30 more than any other, and for every query. */
  DOMINATING("one dominating") {
    @Override
    void shape(float[] q, float[] k, float[] v, int dim, Random random) {
      // Queries lean towards (1, …, 1), along which the key lies: q·k ≈ 2 · t · dim = 40 · √dim.
      for (int i = 0; i < q.length; i++) {
        q[i] += 2;
      }
      int row = k.length / dim / 2;
      for (int d = 0; d < dim; d++) {
        k[row * dim + d] = (float) (20 / Math.sqrt(dim));
      }
    }
  };

  private static final long SEED = 5;

  private final String words;

  Distribution(String words) {
    this.words = words;
  }

  /** Turns unit-normal rows of {@code dim} elements into what the distribution is named for. */
  abstract void shape(float[] q, float[] k, float[] v, int dim, Random random);

  /** {@code queries} rows against {@code keys}. */
  public AttentionCase draw(int queries, int keys, int headDim) {
    Random random = new Random(SEED);
    float[] q = AttentionCase.normal(random, queries * headDim);
    float[] k = AttentionCase.normal(random, keys * headDim);
    float[] v = AttentionCase.normal(random, keys * headDim);
    shape(q, k, v, headDim, random);
    return new AttentionCase(new HeadLayout(1, 1, headDim, headDim), q, k, v);
  }

  @Override
  public String toString() {
    return words;
  }

  /** Scales the queries so that the largest |score| is {@code largest}. */
  private static void scaleScores(float[] q, float[] k, int dim, double largest) {
    double found = 0;
    for (int i = 0; i < q.length; i += dim) {
      for (int j = 0; j < k.length; j += dim) {
        double dot = 0;
        for (int d = 0; d < dim; d++) {
          dot += (double) q[i + d] * k[j + d];
        }
        found = Math.max(found, Math.abs(dot) / Math.sqrt(dim));
      }
    }
    for (int i = 0; i < q.length; i++) {
      q[i] *= (float) (largest / found);
    }
  }
}

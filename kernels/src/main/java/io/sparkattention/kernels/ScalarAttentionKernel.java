package io.sparkattention.kernels;

import java.util.Arrays;

/**
 * The kernel in plain Java: for JVMs without the Vector API, and the readable statement of what the
 * Vector kernel computes to the bit.
 */
public final class ScalarAttentionKernel extends AttentionKernel {
  @Override
  public String name() {
    return "scalar";
  }

  @Override
  void scores(
      float[] q,
      int qOffset,
      float[] k,
      int kOffset,
      int panels,
      int keyDim,
      float[] scores,
      int first,
      float[] maxima) {
    for (int panel = 0; panel < panels; panel++) {
      int kPanel = kOffset + panel * keyDim * PANEL_KEYS;
      for (int r = 0; r < STRIP_ROWS; r++) {
        int target = r * SCORE_STRIDE + first + panel * PANEL_KEYS;
        Arrays.fill(scores, target, target + PANEL_KEYS, 0f);
        for (int d = 0; d < keyDim; d++) {
          float x = q[qOffset + d * STRIP_ROWS + r];
          int source = kPanel + d * PANEL_KEYS;
          for (int j = 0; j < PANEL_KEYS; j++) {
            scores[target + j] = Math.fma(x, k[source + j], scores[target + j]);
          }
        }
      }
    }
    for (int r = 0; r < STRIP_ROWS; r++) {
      maxima[r * LANES] = max(scores, r * SCORE_STRIDE + first, panels * PANEL_KEYS);
    }
  }

  private static float max(float[] scores, int offset, int count) {
    float max = Float.NEGATIVE_INFINITY;
    for (int j = offset; j < offset + count; j++) {
      max = Math.max(max, scores[j]);
    }
    return max;
  }

  @Override
  float mask(float[] scores, int offset, long word) {
    for (int j = 0; j < PANEL_KEYS; j++) {
      if ((word >>> j & 1) == 0) {
        scores[offset + j] = Float.NEGATIVE_INFINITY;
      }
    }
    return max(scores, offset, PANEL_KEYS);
  }

  @Override
  void softcap(float[] scores, int offset, int count, float cap) {
    float rate = Softcap.rate(cap);
    for (int j = offset; j < offset + count; j++) {
      scores[j] = Softcap.of(scores[j], cap, rate);
    }
  }

  @Override
  void addBias(float[] scores, int offset, int count, float[] bias, float factor) {
    for (int j = 0; j < count; j++) {
      scores[offset + j] = Math.fma(bias[j], factor, scores[offset + j]);
    }
  }

  @Override
  void drop(float[] weights, int offset, int count, int key, long stream, int threshold) {
    for (int j = 0; j < count; j++) {
      if (Dropout.hash(key + j, (int) stream, (int) (stream >>> 32)) < threshold) {
        weights[offset + j] = 0;
      }
    }
  }

  @Override
  void weights(
      float[] scores,
      int first,
      int count,
      float[] shift,
      float unit,
      boolean clamped,
      float[] sums) {
    for (int r = 0; r < STRIP_ROWS; r++) {
      int row = r * SCORE_STRIDE + first;
      for (int j = 0; j < count; j++) {
        float weight = Exp2.weight(shift[r] - scores[row + j], unit);
        scores[row + j] = weight;
        sums[r * LANES + j % LANES] += weight;
      }
    }
  }

  @Override
  void weightedValues(
      float[] weights,
      int first,
      int keys,
      float[] v,
      int vOffset,
      int width,
      float[] output,
      int oOffset,
      int oStride) {
    float[] sum = new float[width];
    for (int r = 0; r < STRIP_ROWS; r++) {
      Arrays.fill(sum, 0f);
      for (int j = 0; j < keys; j++) {
        float weight = weights[r * SCORE_STRIDE + first + j];
        int source = vOffset + j * width;
        for (int c = 0; c < width; c++) {
          sum[c] = Math.fma(weight, v[source + c], sum[c]);
        }
      }
      int target = oOffset + r * oStride;
      for (int c = 0; c < width; c++) {
        output[target + c] += sum[c];
      }
    }
  }

  @Override
  boolean allEqual(int[] x, int offset, int count, int value) {
    for (int i = offset; i < offset + count; i++) {
      if (x[i] != value) {
        return false;
      }
    }
    return true;
  }

  @Override
  boolean allWithin(float[] x, int offset, int count, float bottom, float end) {
    for (int i = offset; i < offset + count; i++) {
      float magnitude = Math.abs(x[i]);
      if (!(magnitude >= bottom && magnitude < end)) {
        return false;
      }
    }
    return true;
  }

  @Override
  void unpack(ElementType type, short[] source, int from, int count, float[] target, int to) {
    for (int i = 0; i < count; i++) {
      short half = source[from + i];
      target[to + i] =
          type == ElementType.BF16 ? HalfFloats.bf16ToFloat(half) : HalfFloats.f16ToFloat(half);
    }
  }
}

package io.sparkattention.kernels.benchmark;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** Reads an array far larger than the caches once, and nothing else: the roof of a decode step. */
final class ReadBandwidth implements Contestant {
  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;

  /** 256 MiB. */
  private static final int COUNT = 1 << 26;

  private final float[] data = new float[COUNT];

  /** Keeps the sum alive. */
  @SuppressWarnings("unused")
  private volatile float sink;

  @Override
  public String name() {
    return "read";
  }

  @Override
  public void run() {
    sink = sum(data);
  }

  static double bytes() {
    return (double) COUNT * Float.BYTES;
  }

  /** Four independent sums, so that additions do not wait for one another. */
  private static float sum(float[] data) {
    int lanes = FLOATS.length();
    FloatVector a = FloatVector.zero(FLOATS);
    FloatVector b = FloatVector.zero(FLOATS);
    FloatVector c = FloatVector.zero(FLOATS);
    FloatVector d = FloatVector.zero(FLOATS);
    for (int i = 0; i < data.length; i += 4 * lanes) {
      a = a.add(FloatVector.fromArray(FLOATS, data, i));
      b = b.add(FloatVector.fromArray(FLOATS, data, i + lanes));
      c = c.add(FloatVector.fromArray(FLOATS, data, i + 2 * lanes));
      d = d.add(FloatVector.fromArray(FLOATS, data, i + 3 * lanes));
    }
    return a.add(b).add(c.add(d)).lane(0);
  }
}

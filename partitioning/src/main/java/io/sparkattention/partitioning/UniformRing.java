package io.sparkattention.partitioning;

/**
 * A ring whose ranks are alike: each folds every shard, in the same time. With a fold of no time it
 * is an all-to-all, of which step s brings what rank r + s has for rank r.
 *
 * @param foldSeconds of one shard
 * @param shardBytes of its keys and values
 */
record UniformRing(int ranks, double foldSeconds, double shardBytes)
    implements RingSimulation.Work {
  @Override
  public int nextStep(int rank, int step) {
    return step < ranks ? step : -1;
  }

  @Override
  public double foldSeconds(int rank, int step) {
    return foldSeconds;
  }

  @Override
  public double fetchBytes(int rank, int step) {
    return shardBytes;
  }

  @Override
  public boolean symmetric() {
    return true;
  }
}

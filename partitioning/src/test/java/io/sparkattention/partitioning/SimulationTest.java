package io.sparkattention.partitioning;

import io.sparkattention.partitioning.ClusterFacts.Fact;
import io.sparkattention.partitioning.Simulation.Trouble;
import java.util.List;
import org.junit.jupiter.api.Test;

class SimulationTest {
  @Test
  void prints() {
    ClusterFacts facts = ClusterFacts.defaults().with(Fact.CORES, 16).with(Fact.MEMORY, 64);
    HeadSizes heads = new HeadSizes(32, 8, 128, 128, 2);
    for (String mask : List.of("full", "causal", "sliding-window:4095")) {
      AttentionMask m = AttentionMask.parse(mask);
      ScalingTables t =
          new ScalingTables(
              facts,
              heads,
              m,
              m.unequalWork() ? BlockAssignment.BALANCED : BlockAssignment.CONTIGUOUS,
              2048,
              Trouble.NONE);
      System.out.println(t.legend());
      for (int p : new int[] {1000, 10000}) {
        long start = System.nanoTime();
        System.out.println(t.strong(100_000_000, List.of(p)));
        System.out.println((System.nanoTime() - start) / 1e9);
      }
      System.out.println(t.weak(10_240, List.of(1, 10, 100, 1000, 10000)));
    }
  }
}

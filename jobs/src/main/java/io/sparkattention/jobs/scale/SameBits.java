package io.sparkattention.jobs.scale;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Whether all runs of a workload and length gave the same output, whatever cluster, exchange,
 * assignment and shards.
 *
 * @param digests each once: one, if so
 */
record SameBits(Measurement.Workload workload, long tokens, int runs, List<String> digests) {
  private record Work(Measurement.Workload workload, long tokens) {}

  /** One for each workload and length. */
  static List<SameBits> of(List<Measurement> measurements) {
    Map<Work, List<Measurement>> byWork = new LinkedHashMap<>();
    for (Measurement m : measurements) {
      Work work = new Work(m.workload(), m.configuration().tokens());
      byWork.computeIfAbsent(work, w -> new ArrayList<>()).add(m);
    }
    List<SameBits> all = new ArrayList<>();
    byWork.forEach(
        (work, of) ->
            all.add(
                new SameBits(
                    work.workload,
                    work.tokens,
                    of.stream().mapToInt(Measurement::runs).sum(),
                    of.stream().flatMap(m -> m.digests().stream()).distinct().toList())));
    return all;
  }

  boolean holds() {
    return digests.size() == 1;
  }
}

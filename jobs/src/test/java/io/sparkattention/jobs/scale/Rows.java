package io.sparkattention.jobs.scale;

import java.util.HashMap;
import java.util.Map;

/** Results as runs would leave them, for tests without runs. */
final class Rows {
  private Rows() {}

  /**
   * A measured run.
   *
   * @param more columns and their values in turn, in place of those that are here
   */
  static Result ok(String cluster, int cores, long tokens, double seconds, String... more) {
    Map<String, String> values = new HashMap<>();
    values.put("cluster", cluster);
    values.put("master", cluster);
    values.put("slots", Integer.toString(cores));
    values.put("task_cpus", "1");
    values.put("tokens", Long.toString(tokens));
    values.put("heads", "2");
    values.put("mask", "causal");
    values.put("exchange", "ring");
    values.put("assignment", "auto");
    values.put("shards", Integer.toString(cores));
    values.put("repetition", "1");
    values.put("status", Result.OK);
    values.put("output_sha256", "0123456789abcdef");
    values.put("chosen_exchange", "ring");
    values.put("chosen_assignment", "balanced");
    values.put("attention_seconds", Double.toString(seconds));
    values.put("gflops", Double.toString(tokens * (double) tokens / 1e6 / seconds));
    values.put("cores", Integer.toString(cores));
    values.put("efficiency", "0.5");
    values.put("compute_seconds", Double.toString(0.8 * seconds * cores));
    values.put("wait_seconds", "0");
    values.put("fetch_seconds", "0");
    values.put("finish_seconds", "0");
    values.put("bytes_moved", "0");
    values.put("skew_max_over_mean", "1.25");
    values.put("kernel", "vector");
    for (int i = 0; i < more.length; i += 2) {
      values.put(more[i], more[i + 1]);
    }
    return Result.of(values);
  }
}

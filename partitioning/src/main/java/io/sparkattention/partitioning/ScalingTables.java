package io.sparkattention.partitioning;

import io.sparkattention.partitioning.ClusterFacts.Fact;
import io.sparkattention.partitioning.Simulation.Blocks;
import io.sparkattention.partitioning.Simulation.Exchange;
import io.sparkattention.partitioning.Simulation.Trouble;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * Tables of simulated runs, for a person to read; each says that it is simulated.
 *
 * @param facts of an executor and its link
 * @param blockTokens tokens of a block
 * @param trouble what goes wrong in each run
 */
public record ScalingTables(
    ClusterFacts facts,
    HeadSizes heads,
    AttentionMask mask,
    BlockAssignment assignment,
    int blockTokens,
    Trouble trouble) {

  /** The same tokens on more and more executors. */
  public String strong(long tokens, List<Integer> executors) {
    StringBuilder table = new StringBuilder();
    append(table, "Strong scaling, simulated: %,d tokens%n", tokens);
    header(table);
    executors.forEach(count -> row(table, tokens, count));
    return table.toString();
  }

  /**
   * The same tokens for each of more and more executors. Attention computes the square of its
   * tokens: the ideal time grows with the executors, and efficiency is what to compare.
   */
  public String weak(long tokensPerExecutor, List<Integer> executors) {
    StringBuilder table = new StringBuilder();
    append(table, "Weak scaling, simulated: %,d tokens per executor%n", tokensPerExecutor);
    header(table);
    executors.forEach(
        count -> row(table, Math.multiplyExact(tokensPerExecutor, (long) count), count));
    return table.toString();
  }

  /** What is simulated, and what the tables' columns mean. */
  public String legend() {
    StringBuilder text = new StringBuilder();
    append(
        text,
        "Simulated, not measured: executors of %s cores at %s GFLOP/s, %s GiB, %s GB/s, %s ms a"
            + " fetch%n",
        number(facts.get(Fact.CORES)),
        number(facts.get(Fact.MULTIPLY_ADDS)),
        number(facts.get(Fact.MEMORY)),
        number(facts.get(Fact.NETWORK)),
        number(facts.get(Fact.LATENCY)));
    append(
        text,
        "%d heads, %d of keys and values, keyDim %d, valueDim %d, %d bytes; mask %s, %s, %d tokens"
            + " per block%n",
        heads.numHeads(),
        heads.numKeyValueHeads(),
        heads.keyDim(),
        heads.valueDim(),
        heads.keyValueBytes(),
        mask.summary(),
        assignment,
        blockTokens);
    append(text, "trouble: %s%n", troubleText());
    append(
        text,
        "ring hides what it fetches from %,.0f tokens per executor on (full mask, latency aside)%n",
        simulation(blockTokens, 1).balanceTokens());
    append(
        text,
        "efficiency: of the ring, even compute / simulated seconds; waiting: of a rank of the ring,"
            + " share of its seconds; -: a task does not fit the memory%n");
    return text.toString();
  }

  private String troubleText() {
    if (trouble.stragglerShare() == 0 && trouble.lost() == 0) {
      return "none";
    }
    return String.format(
        Locale.ROOT,
        "%s %% of the executors slower by %s, %d lost (%s s to detect), seed %d",
        number(100 * trouble.stragglerShare()),
        number(trouble.stragglerFactor()),
        trouble.lost(),
        number(trouble.detectSeconds()),
        trouble.seed());
  }

  private static void header(StringBuilder table) {
    append(
        table,
        "%9s %15s %13s %12s %10s %8s %12s %12s %12s %12s%n",
        "executors",
        "tokens",
        "tokens each",
        "ring s",
        "efficiency",
        "waiting",
        "barrier s",
        "heads s",
        "reduce s",
        "broadcast s");
  }

  private Simulation simulation(long tokens, int executors) {
    Blocks blocks = new Blocks(tokens, blockTokens, assignment);
    return new Simulation(facts, heads, mask, blocks, executors, trouble);
  }

  private void row(StringBuilder table, long tokens, int executors) {
    Simulation simulation = simulation(tokens, executors);
    Optional<SimulatedRun> ring = simulation.run(Exchange.RING);
    append(
        table,
        "%9d %,15d %,13d %12s %10s %8s %12s %12s %12s %12s%n",
        executors,
        tokens,
        -(-tokens / executors),
        seconds(ring),
        ring.map(run -> percent(simulation.idealSeconds() / run.seconds())).orElse("-"),
        ring.map(run -> percent(run.waitSeconds() / run.seconds())).orElse("-"),
        seconds(simulation.run(Exchange.BARRIER)),
        seconds(simulation.run(Exchange.HEADS)),
        seconds(simulation.run(Exchange.REDUCE)),
        seconds(simulation.run(Exchange.BROADCAST)));
  }

  private static String seconds(Optional<SimulatedRun> run) {
    return run.map(SimulatedRun::seconds)
        .map(seconds -> String.format(Locale.ROOT, seconds < 100 ? "%,.2f" : "%,.0f", seconds))
        .orElse("-");
  }

  private static String percent(double share) {
    return String.format(Locale.ROOT, "%.1f %%", 100 * share);
  }

  private static String number(double value) {
    return value == Math.rint(value)
        ? String.format(Locale.ROOT, "%.0f", value)
        : String.format(Locale.ROOT, "%.4g", value);
  }

  private static void append(StringBuilder text, String format, Object... values) {
    text.append(String.format(Locale.ROOT, format, values));
  }
}

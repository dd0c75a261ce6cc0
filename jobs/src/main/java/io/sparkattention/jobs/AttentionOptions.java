package io.sparkattention.jobs;

import io.sparkattention.driver.AttentionConfig.Key;
import java.util.EnumMap;
import java.util.Map;
import picocli.CommandLine.Option;

/** The options that are settings of {@code AttentionConfig}, the same for all commands. */
final class AttentionOptions {
  @Option(
      names = "--mask",
      description = {
        "Which keys a query sees (default: full):",
        "full, causal, prefix:N, sinks:N, global:N,",
        "sliding-window:LEFT[,RIGHT],",
        "dilated-window:LEFT,STEP[,RIGHT],",
        "documents:LENGTH,..., global-positions:POS,...,",
        "block-sparse:SIZE,QUERY-KEY,...,",
        "random-blocks:COUNT,SEED[,SIZE[,BLOCKS]],",
        "bigbird:WINDOW,N,COUNT,SEED[,SIZE[,BLOCKS]],",
        "block-top-k:COUNT[,SIZE] (approximate),",
        "streaming:N,WINDOW;",
        "joined by & (both) or | (either), in parentheses.",
        "@FILE in place of a list reads it from a file.",
        "Without BLOCKS random blocks are the query's own or earlier ones: a bidirectional model"
            + " needs BLOCKS, a sequence's tokens / SIZE (64), rounded up."
      })
  private String mask;

  @Option(
      names = "--causal-alignment",
      description = "top-left or bottom-right: where the diagonal starts (default: top-left).")
  private String causalAlignment;

  @Option(names = "--scale", description = "Factor of the scores (default: 1/sqrt(headDim)).")
  private String scale;

  @Option(
      names = "--softcap",
      paramLabel = "X",
      description = "Scores become X * tanh(score / X), before biases and mask.")
  private String softcap;

  @Option(
      names = "--alibi",
      paramLabel = "SLOPES",
      description = {
        "Bias -slope * |query + offset - key|:",
        "auto (the published slopes), one per query head, or @FILE."
      })
  private String alibi;

  @Option(
      names = "--relative-bias",
      paramLabel = "KIND,MAX,WEIGHTS",
      description = {
        "T5's bias by buckets of distances: bidirectional or causal,",
        "the largest distance, [buckets, heads] numbers or @FILE."
      })
  private String relativeBias;

  @Option(
      names = "--sinks",
      paramLabel = "LOGITS",
      description = "Logit of a further key without value: one per query head, one, or @FILE.")
  private String sinks;

  @Option(
      names = "--dropout",
      paramLabel = "P",
      description = "Drop weights with probability P, the others times 1/(1-P).")
  private String dropout;

  @Option(
      names = "--seed",
      description = "Of --dropout, which depends on it, head and positions alone (default: 0).")
  private String seed;

  @Option(names = "--num-heads", description = "Query heads, where the shape does not tell.")
  private String numHeads;

  @Option(names = "--num-kv-heads", description = "Key/value heads (default: --num-heads).")
  private String numKvHeads;

  @Option(
      names = "--exchange",
      description = "auto, ring, reduce, barrier, heads or broadcast (default: auto).")
  private String exchange;

  @Option(
      names = "--assignment",
      description =
          "contiguous, zigzag, striped or balanced (default: the planner chooses).")
  private String assignment;

  @Option(names = "--block-tokens", description = "Tokens of a block (default: 2048).")
  private String blockTokens;

  @Option(names = "--shards", description = "Number of shards (default: the planner chooses).")
  private String shards;

  @Option(
      names = "--max-memory",
      paramLabel = "SIZE",
      description = {
        "What a task may hold, such as 512m or 4g",
        "(default: the executors' memory beside their storage)."
      })
  private String maxMemory;

  @Option(
      names = "--key-value-type",
      description =
          "auto, f32, bf16 or f16: how keys and values are held (default: auto, without loss).")
  private String keyValueType;

  @Option(names = "--kernel", description = "auto, vector or scalar (default: auto).")
  private String kernel;

  @Option(
      names = "--scores-output",
      paramLabel = "MODE",
      description = {
        "Write scores, too, as qk_matmul_output: 0 scaled, 1 after softcap,",
        "2 after mask and bias, 3 after softmax. For small inputs."
      })
  private String scoresOutput;

  @Option(
      names = "--facts",
      paramLabel = "FILE",
      description = "What is known of the cluster, as calibrate wrote it (default: typical values).")
  private String facts;

  /** What was given, by key. */
  Map<Key, String> byKey() {
    Map<Key, String> options = new EnumMap<>(Key.class);
    put(options, Key.MASK, mask);
    put(options, Key.CAUSAL_ALIGNMENT, causalAlignment);
    put(options, Key.SCALE, scale);
    put(options, Key.SOFTCAP, softcap);
    put(options, Key.ALIBI, alibi);
    put(options, Key.RELATIVE_BIAS, relativeBias);
    put(options, Key.SINKS, sinks);
    put(options, Key.DROPOUT, dropout);
    put(options, Key.SEED, seed);
    put(options, Key.NUM_HEADS, numHeads);
    put(options, Key.NUM_KV_HEADS, numKvHeads);
    put(options, Key.EXCHANGE, exchange);
    put(options, Key.ASSIGNMENT, assignment);
    put(options, Key.BLOCK_TOKENS, blockTokens);
    put(options, Key.SHARDS, shards);
    put(options, Key.FACTS, facts);
    put(options, Key.MAX_MEMORY, maxMemory);
    put(options, Key.KEY_VALUE_TYPE, keyValueType);
    put(options, Key.KERNEL, kernel);
    put(options, Key.SCORES_OUTPUT, scoresOutput);
    return options;
  }

  private static void put(Map<Key, String> options, Key key, String value) {
    if (value != null) {
      options.put(key, value);
    }
  }
}

package io.sparkattention.jobs;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.StagedOutput;
import io.sparkattention.driver.model.CausalDecoder;
import io.sparkattention.driver.model.LlamaModel;
import io.sparkattention.driver.model.ModelFolder;
import io.sparkattention.driver.model.PieceVocabulary;
import io.sparkattention.driver.model.TokenSampling;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Continues a text with a trained causal decoder. */
@Command(name = "generate", description = "Continue a text with a trained causal decoder.")
final class GenerateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      description = "A model's folder in Hugging Face's layout (Llama).")
  private String model;

  @ArgGroup(multiplicity = "1")
  private Prompt prompt;

  /** What is continued. */
  private static final class Prompt {
    @Option(names = "--prompt", description = "The text to continue.")
    private String text;

    @Option(
        names = "--prompt-tokens",
        split = ",",
        paramLabel = "ID",
        description = "Its token ids, separated by commas.")
    private int[] tokens;
  }

  @Option(names = "--max-tokens", required = true, description = "Tokens of the continuation.")
  private int maxTokens;

  @Option(
      names = "--temperature",
      defaultValue = "0",
      description = "0 takes the most likely token, else one is drawn (default: 0).")
  private double temperature;

  @Option(names = "--top-k", description = "Draw among the K most likely tokens (default: all).")
  private int topK = Integer.MAX_VALUE;

  @Option(
      names = "--top-p",
      description = "Draw among the fewest tokens of probability P together (default: 1).")
  private double topP = 1;

  @Option(names = "--seed", description = "Of what is drawn (default: 0).")
  private long seed;

  @Option(names = "--exchange", description = "Of the prompt's attention, as in attend.")
  private String exchange;

  @Option(names = "--block-tokens", description = "Tokens of a block (default: 2048).")
  private String blockTokens;

  @Option(names = "--shards", description = "Number of shards (default: the task slots).")
  private String shards;

  @Option(names = "--output", description = "A JSON file with the tokens and the text.")
  private String output;

  @Option(names = "--overwrite", description = "Replace an existing output.")
  private boolean overwrite;

  @Override
  public Integer call() throws Exception {
    checkNumbers();
    ModelFolder folder = ModelFolder.at(model);
    LlamaModel weights = LlamaModel.load(folder);
    PieceVocabulary vocabulary = PieceVocabulary.read(folder, weights.config());
    int[] given = prompt.tokens == null ? vocabulary.encode(prompt.text) : prompt.tokens;
    SparkSession spark = Sessions.open("generate");
    AttentionConfig config = AttentionConfig.resolve(options(), spark.sparkContext().conf());
    Configuration hadoop = spark.sparkContext().hadoopConfiguration();
    try (StagedOutput staged = output == null ? null : new StagedOutput(output, overwrite, hadoop);
        CausalDecoder decoder = new CausalDecoder(spark, weights, config)) {
      int[] continuation =
          decoder.generate(given, maxTokens, new TokenSampling(seed, temperature, topK, topP));
      int[] tokens = IntStream.concat(Arrays.stream(given), Arrays.stream(continuation)).toArray();
      String text = vocabulary.decode(tokens);
      if (staged != null) {
        write(tokens, text, new Path(staged.path()), hadoop);
        staged.commit();
      }
      spec.commandLine().getOut().println(text);
    }
    return 0;
  }

  private void checkNumbers() {
    require("--max-tokens", maxTokens, maxTokens >= 1, "a whole number from 1");
    require("--temperature", temperature, temperature >= 0 && temperature < 1e6, "0 or more");
    require("--top-k", topK, topK >= 1, "a whole number from 1");
    require("--top-p", topP, topP > 0 && topP <= 1, "a number above 0, at most 1");
  }

  private static void require(String option, Number found, boolean right, String expected) {
    if (!right) {
      throw new InvalidInputException(
          "Invalid %s: found '%s', expected %s".formatted(option, found, expected));
    }
  }

  private Map<Key, String> options() {
    Map<Key, String> options = new EnumMap<>(Key.class);
    options.put(Key.MASK, "causal");
    put(options, Key.EXCHANGE, exchange);
    put(options, Key.BLOCK_TOKENS, blockTokens);
    put(options, Key.SHARDS, shards);
    return options;
  }

  private static void put(Map<Key, String> options, Key key, String value) {
    if (value != null) {
      options.put(key, value);
    }
  }

  private static void write(int[] tokens, String text, Path file, Configuration hadoop)
      throws Exception {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("tokens", tokens);
    json.put("text", text);
    try (OutputStream out = file.getFileSystem(hadoop).create(file)) {
      out.write(new ObjectMapper().writeValueAsBytes(json));
    }
  }
}

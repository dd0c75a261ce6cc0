package io.sparkattention.jobs;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.model.BertModel;
import io.sparkattention.driver.model.DistributedEncoder;
import io.sparkattention.driver.model.EncodedOutput;
import io.sparkattention.driver.model.EncoderInput;
import io.sparkattention.driver.model.ModelFolder;
import io.sparkattention.driver.model.Overflow;
import io.sparkattention.driver.model.Pooling;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Documents to contextual embeddings by a trained encoder. */
@Command(name = "encode", description = "Documents to contextual embeddings by a trained encoder.")
final class EncodeCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      description = "A bundled model's name or a model's folder (BERT).")
  private String model;

  @Option(
      names = "--input",
      required = true,
      description = "A UTF-8 text, or a folder of them: a document each.")
  private String input;

  @Option(
      names = "--output",
      required = true,
      description = "A Parquet dataset's folder, or for one document a .safetensors file.")
  private String output;

  @Option(
      names = "--pooling",
      defaultValue = "none",
      description = "none, mean, cls or max (default: ${DEFAULT-VALUE}).")
  private String pooling;

  @Option(names = "--normalize", description = "Divide each embedding by its length (L2).")
  private boolean normalize;

  @Option(
      names = "--overflow",
      defaultValue = "error",
      description =
          "Past the model's positions: error, window or extend (default: ${DEFAULT-VALUE}).")
  private String overflow;

  @Option(names = "--exchange", description = "Of long documents' attention, as in attend.")
  private String exchange;

  @Option(names = "--block-tokens", description = "Tokens of a block (default: 2048).")
  private String blockTokens;

  @Option(names = "--shards", description = "Number of shards (default: the task slots).")
  private String shards;

  @Option(names = "--overwrite", description = "Replace an existing output.")
  private boolean overwrite;

  @Override
  public Integer call() {
    Overflow past = Overflow.parse(overflow);
    Pooling pooled = Pooling.parse(pooling);
    ModelFolder folder = ModelFolder.at(BundledFiles.model(model));
    BertModel weights = BertModel.load(folder);
    SparkSession spark = Sessions.open("encode");
    AttentionConfig config = AttentionConfig.resolve(options(), spark.sparkContext().conf());
    EncoderInput texts =
        EncoderInput.read(input, folder, spark.sparkContext().hadoopConfiguration());
    EncodedOutput written = new EncodedOutput(spark, output, overwrite, pooled, normalize);
    written.check(texts.documents().size());
    try (DistributedEncoder encoder = new DistributedEncoder(spark, weights, config, past)) {
      written.write(encoder.encode(texts.documents()), texts.documents(), texts.vocabulary());
    }
    long tokens = texts.documents().stream().mapToLong(document -> document.ids().length).sum();
    spec.commandLine()
        .getOut()
        .printf("%s: %,d documents, %,d tokens%n", output, texts.documents().size(), tokens);
    return 0;
  }

  private Map<Key, String> options() {
    Map<Key, String> options = new EnumMap<>(Key.class);
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
}

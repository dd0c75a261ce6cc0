package io.sparkattention.jobs;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.AttentionReport;
import io.sparkattention.driver.DistributedAttention;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.ListFiles;
import io.sparkattention.driver.io.ParquetInput;
import io.sparkattention.driver.io.ParquetOutput;
import io.sparkattention.driver.model.AttentionHeatMap;
import io.sparkattention.driver.model.BertEncoder;
import io.sparkattention.driver.model.BertModel;
import io.sparkattention.driver.model.EncoderOutput;
import io.sparkattention.driver.model.HeadLinks;
import io.sparkattention.driver.model.HeadLinks.HeadLink;
import io.sparkattention.driver.model.HeadLinks.Word;
import io.sparkattention.driver.model.ModelFolder;
import io.sparkattention.driver.model.Positions;
import io.sparkattention.driver.model.TextProjection;
import io.sparkattention.driver.model.TextTokenizer;
import io.sparkattention.driver.model.TokenizedText;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/**
 * What a newcomer runs first: which heads of a trained encoder link two words of a sentence, then
 * the same model's first layer over a text that is far longer than it was trained for.
 */
@Command(
    name = "demo",
    description = "Heads of a trained model on a sentence, then attention over a long real text.")
final class DemoCommand implements Callable<Integer> {
  private static final String SENTENCE = "The animal didn't cross the street because it was tired.";

  private static final int TOP_HEADS = 5;
  private static final int SHARDS = 4;

  @Spec private CommandSpec spec;

  @Option(
      names = "--output",
      defaultValue = "spark-attention-demo",
      description = "Folder of the results, replaced if it exists (default: ${DEFAULT-VALUE}).")
  private Path output;

  private PrintWriter out;

  @Override
  public Integer call() throws IOException {
    out = spec.commandLine().getOut();
    String model = BundledFiles.model(BundledFiles.DEFAULT_MODEL);
    try {
      Files.createDirectories(output);
    } catch (IOException e) {
      throw new InvalidInputException(
          "Cannot write '" + output + "': " + e + "; give another folder with --output", e);
    }
    linkWords(model);
    attendLongText(model);
    return 0;
  }

  /** The sentence through all layers; its heads ranked by the link from "it" to "animal". */
  private void linkWords(String modelFolder) {
    ModelFolder folder = ModelFolder.at(modelFolder);
    BertEncoder encoder = new BertEncoder(BertModel.load(folder));
    try (TextTokenizer tokenizer = TextTokenizer.open(folder)) {
      TokenizedText text = tokenizer.tokenize(SENTENCE);
      EncoderOutput encoded = encoder.encode(text.ids());
      HeadLinks links =
          HeadLinks.rank(
              encoded,
              Word.in(text, "it", 1),
              Word.in(text, "animal", 1),
              Word.in(text, "street", 1));
      Path page = output.resolve("links.html");
      new AttentionHeatMap(folder.name(), text, encoded, links).write(page, true);
      out.printf("1. \"%s\"%n", SENTENCE);
      out.printf("   Heads of %s in which \"it\" looks at \"animal\":%n", folder.name());
      for (HeadLink link : links.ranked().subList(0, TOP_HEADS)) {
        out.printf(
            "   %d. layer %d, head %2d: weight %.3f (\"street\": %.3f)%n",
            link.rank(), link.layer(), link.head(), link.weight(), link.rivalWeight());
      }
      out.printf("   All heads and their heat maps: %s%n%n", page);
      out.flush();
    }
  }

  /** A source file to queries, keys and values, and those to attention, with a report. */
  private void attendLongText(String modelFolder) throws IOException {
    SparkSession spark = Sessions.open("demo");
    Path text = BundledFiles.longText();
    String projected = output.resolve("projected").toString();
    String attended = output.resolve("attention").toString();
    out.printf(
        "2. %s, a source file of Spark, through the model's first layer%n", text.getFileName());
    out.flush();
    TextProjection.run(spark, text.toString(), modelFolder, Positions.WRAP, projected, true);

    BertModel model = BertModel.load(ModelFolder.at(modelFolder));
    Map<Key, String> options =
        Map.of(
            Key.NUM_HEADS, Integer.toString(model.config().numHeads()),
            Key.SHARDS, Integer.toString(SHARDS));
    AttentionConfig config =
        AttentionConfig.resolve(
            options,
            spark.sparkContext().conf(),
            ListFiles.from(spark.sparkContext().hadoopConfiguration()));
    ParquetInput input = ParquetInput.open(spark, projected, config);
    AttentionReport report =
        new DistributedAttention(spark)
            .run(input, config, new ParquetOutput(spark, attended, true, input.sequenceIdType()));
    new ReportFolder(output.toString(), spark).write(report);
    out.printf("   tokens          %,d (the model was trained on 512)%n", report.tokens());
    out.printf("   heads           %d of %d%n", report.heads(), report.headDim());
    out.printf("   exchange        %s over %d shards%n", report.exchange(), report.shards());
    out.printf("   FLOPs           %.3e%n", report.flops());
    out.printf("   seconds         %.1f%n", report.attentionSeconds());
    out.printf("   GFLOP/s         %.1f on %d cores%n", report.gflops(), report.cores());
    if (report.efficiency() != null) {
      out.printf(
          "   share of peak   %.2f of %.1f GFLOP/s per core%n",
          report.efficiency(), report.peakGflopsPerCore());
    }
    out.printf("   Rows: %s, report: %s%n", attended, output.resolve("report.json"));
  }
}

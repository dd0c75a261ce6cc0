package io.sparkattention.jobs;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.StagedOutput;
import io.sparkattention.driver.io.TextFile;
import io.sparkattention.driver.model.AttentionHeatMap;
import io.sparkattention.driver.model.BertEncoder;
import io.sparkattention.driver.model.BertModel;
import io.sparkattention.driver.model.EncoderOutput;
import io.sparkattention.driver.model.FirstLayerLinks;
import io.sparkattention.driver.model.HeadLinks;
import io.sparkattention.driver.model.HeadLinks.HeadLink;
import io.sparkattention.driver.model.HeadLinks.Word;
import io.sparkattention.driver.model.HeadStatistics;
import io.sparkattention.driver.model.HeadStatisticsPage;
import io.sparkattention.driver.model.HeadStatisticsTable;
import io.sparkattention.driver.model.ModelFolder;
import io.sparkattention.driver.model.Passages;
import io.sparkattention.driver.model.Positions;
import io.sparkattention.driver.model.TextTokenizer;
import io.sparkattention.driver.model.TokenLink;
import io.sparkattention.driver.model.TokenLinkTable;
import io.sparkattention.driver.model.TokenizedText;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Which token of a text attends to which, in every head of a trained encoder. */
@Command(
    name = "links",
    description = "Which token attends to which: tables, and a page of heat maps and arcs.")
final class LinksCommand implements Callable<Integer> {
  private static final int PRINTED_HEADS = 5;

  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      defaultValue = BundledFiles.DEFAULT_MODEL,
      description = "A bundled model's name or a model's folder (default: ${DEFAULT-VALUE}).")
  private String model;

  @ArgGroup(multiplicity = "1")
  private Source source;

  private static final class Source {
    @Option(names = "--text", required = true, description = "The text itself.")
    private String text;

    @Option(names = "--input", required = true, description = "A UTF-8 file with the text.")
    private String file;
  }

  @ArgGroup(exclusive = false)
  private Words words;

  private static final class Words {
    @Option(
        names = "--from",
        required = true,
        description = "Rank the heads by how this word of the text attends …")
    private String from;

    @Option(names = "--to", required = true, description = "… to this one …")
    private String to;

    @Option(names = "--rival", required = true, description = "… rather than to this one.")
    private String rival;
  }

  @Option(
      names = "--top-k",
      defaultValue = "5",
      description = "Links per token and head in the tables (default: ${DEFAULT-VALUE}).")
  private int topK;

  @Option(
      names = "--first-layer",
      description = "Only the links of the first layer, on the cluster, of a text of any length.")
  private boolean firstLayer;

  @Option(
      names = "--positions",
      defaultValue = "error",
      description =
          "With --first-layer, past the model's positions: error, or wrap to use them again"
              + " (default: ${DEFAULT-VALUE}).")
  private String positions;

  @Option(
      names = "--statistics",
      description =
          "Instead of links what each head looks at, over passages: each line of --input, a file or"
              + " a folder of files, that is not blank.")
  private boolean statistics;

  @Option(names = "--output", required = true, description = "The folder of tables and page.")
  private String output;

  @Option(names = "--overwrite", description = "Replace an existing output.")
  private boolean overwrite;

  @Override
  public Integer call() throws Exception {
    checkOptions();
    ModelFolder folder = ModelFolder.at(BundledFiles.model(model));
    BertModel weights = BertModel.load(folder);
    SparkSession spark = Sessions.open("links");
    Configuration hadoop = spark.sparkContext().hadoopConfiguration();
    try (StagedOutput staged = new StagedOutput(output, overwrite, hadoop)) {
      LinksFolder results = new LinksFolder(staged.path(), spark);
      if (statistics) {
        gatherStatistics(spark, folder, weights, results);
      } else if (firstLayer) {
        linkFirstLayer(spark, weights, tokenize(folder, hadoop), results);
      } else {
        linkAllLayers(spark, folder, weights, tokenize(folder, hadoop), results);
      }
      staged.commit();
    }
    return 0;
  }

  private void checkOptions() {
    if (topK < 1) {
      throw new InvalidInputException(
          "Invalid --top-k: found '%d', expected a whole number from 1".formatted(topK));
    }
    Positions policy = Positions.parse(positions);
    if (policy == Positions.WRAP && !firstLayer) {
      throw new InvalidInputException(
          "Cannot use --positions wrap without --first-layer: found all layers, whose weights would not be those of the trained model; add --first-layer or leave out --positions");
    }
    refuseBoth("--statistics", statistics, "--from", words != null);
    refuseBoth("--statistics", statistics, "--first-layer", firstLayer);
    refuseBoth("--first-layer", firstLayer, "--from", words != null);
  }

  private static void refuseBoth(String one, boolean first, String other, boolean second) {
    if (first && second) {
      throw new InvalidInputException(
          "Cannot combine %s with %s: found both, expected one of them; leave out the other"
              .formatted(one, other));
    }
  }

  /** The first layer of a text of any length. */
  private void linkFirstLayer(
      SparkSession spark, BertModel weights, TokenizedText text, LinksFolder results) {
    int runs = spark.sparkContext().defaultParallelism();
    long links =
        new FirstLayerLinks(weights, text, Positions.parse(positions), topK)
            .write(spark, runs, results.path("links"));
    spec.commandLine()
        .getOut()
        .printf(
            Locale.ROOT,
            "%s: %,d tokens, %,d links of the first layer%n",
            output,
            text.size(),
            links);
  }

  private void gatherStatistics(
      SparkSession spark, ModelFolder folder, BertModel weights, LinksFolder results)
      throws Exception {
    Configuration hadoop = spark.sparkContext().hadoopConfiguration();
    Passages passages = new Passages();
    try (TextTokenizer tokenizer = TextTokenizer.open(folder)) {
      if (source.text != null) {
        passages.addLines(source.text, "--text", tokenizer, weights);
      } else {
        for (String file : LinksFolder.files(source.file, hadoop)) {
          passages.addLines(
              new TextFile("input", file).read(hadoop), "'" + file + "'", tokenizer, weights);
        }
      }
    }
    int partitions = 4 * spark.sparkContext().defaultParallelism();
    HeadStatistics means = passages.statistics(spark, weights, partitions);
    List<List<String>> records = LinksFolder.statisticRecords(means);
    results.table("statistics", HeadStatisticsTable.of(spark, means));
    results.csv("statistics.csv", HeadStatisticsTable.COLUMNS, records);
    results.page("statistics.html", new HeadStatisticsPage(folder.name(), means).html());
    spec.commandLine()
        .getOut()
        .printf(
            Locale.ROOT,
            "%s: %,d heads over %,d tokens of %,d passages%n",
            output,
            records.size(),
            means.attendingTokens(),
            means.passages());
  }

  private TokenizedText tokenize(ModelFolder folder, Configuration hadoop) {
    String text =
        source.text == null ? new TextFile("input", source.file).read(hadoop) : source.text;
    if (text.isBlank()) {
      throw new InvalidInputException(
          "Cannot link tokens: found no text, expected at least one word");
    }
    try (TextTokenizer tokenizer = TextTokenizer.open(folder)) {
      return tokenizer.tokenize(text);
    }
  }

  /** All layers of a text that the model's positions suffice for. */
  private void linkAllLayers(
      SparkSession spark,
      ModelFolder folder,
      BertModel weights,
      TokenizedText text,
      LinksFolder results)
      throws Exception {
    int limit = weights.config().positions();
    if (text.size() > limit) {
      throw new InvalidInputException(
          "Cannot link the tokens of all layers: found %,d tokens, expected at most the model's %d positions; shorten the text, or give --first-layer"
              .formatted(text.size(), limit));
    }
    Optional<HeadLinks> ranking = Optional.empty();
    EncoderOutput encoded = new BertEncoder(weights).encode(text.ids());
    if (words != null) {
      ranking =
          Optional.of(
              HeadLinks.rank(
                  encoded,
                  Word.in(text, words.from, 1),
                  Word.in(text, words.to, 1),
                  Word.in(text, words.rival, 1)));
    }
    List<TokenLink> links = TokenLink.strongest(text, encoded, topK);
    results.table("links", TokenLinkTable.of(spark, links));
    results.csv("links.csv", LinksFolder.LINK_COLUMNS, LinksFolder.linkRecords(links));
    boolean drawn = text.size() <= AttentionHeatMap.MAX_TOKENS;
    if (drawn) {
      results.page(
          "links.html", AttentionHeatMap.ofEveryHead(folder.name(), text, encoded, ranking).html());
    }
    if (ranking.isPresent()) {
      results.csv("heads.csv", LinksFolder.HEAD_COLUMNS, LinksFolder.headRecords(ranking.get()));
    }
    print(folder, text, links.size(), drawn, ranking);
  }

  private void print(
      ModelFolder folder,
      TokenizedText text,
      int links,
      boolean drawn,
      Optional<HeadLinks> ranking) {
    PrintWriter out = spec.commandLine().getOut();
    out.printf(Locale.ROOT, "%s: %,d tokens, %,d links%n", output, text.size(), links);
    if (!drawn) {
      out.printf("No page: at most %d tokens stay readable.%n", AttentionHeatMap.MAX_TOKENS);
    }
    ranking.ifPresent(ranked -> print(out, folder, ranked));
  }

  private static void print(PrintWriter out, ModelFolder folder, HeadLinks ranking) {
    out.printf(
        "Heads of %s in which \"%s\" attends to \"%s\", the strongest first:%n",
        folder.name(), ranking.source().text(), ranking.target().text());
    List<HeadLink> ranked = ranking.ranked();
    for (HeadLink link : ranked.subList(0, Math.min(PRINTED_HEADS, ranked.size()))) {
      out.printf(
          Locale.ROOT,
          "%d. layer %d, head %2d: weight %.3f (\"%s\": %.3f)%n",
          link.rank(),
          link.layer(),
          link.head(),
          link.weight(),
          ranking.rival().text(),
          link.rivalWeight());
    }
    out.printf(
        "%d of %d heads attend more to \"%s\" than to \"%s\". A linking head is not a coreference resolver.%n",
        ranking.preferring(), ranked.size(), ranking.target().text(), ranking.rival().text());
  }
}

package io.sparkattention.jobs;

import static org.apache.spark.sql.functions.col;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.StagedOutput;
import io.sparkattention.driver.io.TextFile;
import io.sparkattention.driver.model.ModelFolder;
import io.sparkattention.driver.model.PassageRanking;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Ranks passages for questions, by attention over the whole corpus and by embeddings. */
@Command(
    name = "rank",
    description = "Rank passages for questions, by attention over the whole corpus and by cosine.")
final class RankCommand implements Callable<Integer> {
  private static final int[] RECALLS = {1, 5, 10};

  private static final StructType QUESTIONS =
      new StructType()
          .add("question", DataTypes.IntegerType, false)
          .add("text", DataTypes.StringType, false)
          .add("right_passage_id", DataTypes.StringType, true);

  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      defaultValue = BundledFiles.DEFAULT_MODEL,
      description = "A bundled model's name or a model's folder (default: ${DEFAULT-VALUE}).")
  private String model;

  @Option(
      names = "--questions",
      required = true,
      description =
          "A UTF-8 file, one question per line; behind a tab, where it is known, the id of the right"
              + " passage.")
  private String questions;

  @Option(
      names = "--passages",
      required = true,
      description =
          "A Parquet dataset with the string columns passage_id and text, or a UTF-8 file, one"
              + " passage per line: its id, a tab, its text.")
  private String passages;

  @Option(
      names = "--layer",
      description = "The layer whose heads attend, from 0 (default: the last).")
  private Integer layer;

  @Option(names = "--output", required = true, description = "The folder of a Parquet dataset.")
  private String output;

  @Option(names = "--overwrite", description = "Replace an existing output.")
  private boolean overwrite;

  /**
   * A line of the questions' file.
   *
   * @param right id of the right passage; null: not known
   */
  private record Question(String text, String right) {}

  @Override
  public Integer call() throws Exception {
    OptionalInt chosen = layer == null ? OptionalInt.empty() : OptionalInt.of(layer);
    PassageRanking ranking = new PassageRanking(ModelFolder.at(BundledFiles.model(model)), chosen);
    SparkSession spark = Sessions.open("rank");
    Configuration hadoop = spark.sparkContext().hadoopConfiguration();
    try (StagedOutput staged = new StagedOutput(output, overwrite, hadoop)) {
      List<Question> asked = questions(hadoop);
      List<String> texts = asked.stream().map(Question::text).toList();
      Dataset<Row> scores = ranking.rank(spark, texts, passages(spark, hadoop));
      Dataset<Row> ranked = functions.broadcast(table(spark, asked)).join(scores, "question");
      ranked.write().parquet(staged.path());
      staged.commit();
      print(asked, ranked);
      scores.unpersist();
    }
    return 0;
  }

  private List<Question> questions(Configuration hadoop) {
    List<Question> asked = new ArrayList<>();
    for (String line : new TextFile("questions", questions).read(hadoop).lines().toList()) {
      if (!line.isBlank()) {
        String[] parts = line.split("\t", 2);
        asked.add(new Question(parts[0], parts.length == 2 ? parts[1].strip() : null));
      }
    }
    return asked;
  }

  private Dataset<Row> passages(SparkSession spark, Configuration hadoop) throws Exception {
    Path path = new Path(passages);
    if (!path.getFileSystem(hadoop).exists(path)) {
      throw new InvalidInputException(
          "Cannot read passages '%s': no such file; name a Parquet dataset or a UTF-8 file"
              .formatted(passages));
    }
    boolean folder = path.getFileSystem(hadoop).getFileStatus(path).isDirectory();
    if (folder || passages.endsWith(".parquet")) {
      return fromParquet(spark);
    }
    Dataset<Row> lines =
        spark
            .read()
            .text(passages)
            .where("trim(value) != ''")
            .selectExpr("split(value, '\\t', 2) p");
    for (Row bad : lines.where("size(p) < 2").limit(1).collectAsList()) {
      throw new InvalidInputException(
          "Cannot read passages '%s': found the line '%s' without a tab, expected an id, a tab and a text"
              .formatted(passages, bad.getList(0).get(0)));
    }
    return lines.selectExpr("p[0] as passage_id", "p[1] as text");
  }

  private Dataset<Row> fromParquet(SparkSession spark) {
    Dataset<Row> table = spark.read().parquet(passages);
    List<String> columns = List.of(table.columns());
    for (String column : List.of("passage_id", "text")) {
      if (!columns.contains(column)) {
        throw new InvalidInputException(
            "Cannot read passages '%s': found the columns %s, expected passage_id and text"
                .formatted(passages, columns));
      }
    }
    return table.select(
        col("passage_id").cast(DataTypes.StringType), col("text").cast(DataTypes.StringType));
  }

  private static Dataset<Row> table(SparkSession spark, List<Question> asked) {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < asked.size(); i++) {
      rows.add(RowFactory.create(i, asked.get(i).text(), asked.get(i).right()));
    }
    return spark.createDataFrame(rows, QUESTIONS);
  }

  private void print(List<Question> asked, Dataset<Row> ranked) {
    var out = spec.commandLine().getOut();
    out.printf("%s: %,d questions%n", output, asked.size());
    long known = asked.stream().filter(question -> question.right() != null).count();
    if (known > 0) {
      Dataset<Row> right = ranked.where("passage_id = right_passage_id");
      long found = right.count();
      if (found < known) {
        out.printf("%,d right passages are not among the passages%n", known - found);
      }
      for (String by : List.of("attention", "cosine")) {
        out.printf("by %-9s", by);
        for (int k : RECALLS) {
          double share = (double) right.where(by + "_rank <= " + k).count() / known;
          out.printf("  recall@%d %.3f", k, share);
        }
        out.println();
      }
      return;
    }
    for (Row best :
        ranked.where("cosine_rank = 1 or attention_rank = 1").orderBy("question").collectAsList()) {
      out.printf(
          "%s%n  %s: attention mass %.4f (rank %d), cosine %.3f (rank %d)%n",
          best.<String>getAs("text"),
          best.<String>getAs("passage_id"),
          best.<Double>getAs("attention_mass"),
          best.<Integer>getAs("attention_rank"),
          best.<Double>getAs("cosine"),
          best.<Integer>getAs("cosine_rank"));
    }
  }
}

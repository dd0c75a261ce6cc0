package io.sparkattention.driver.model;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.serializers.JavaSerializer;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.expressions.Window;
import org.apache.spark.sql.expressions.WindowSpec;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.storage.StorageLevel;
import scala.Tuple2;

/**
 * Ranks passages for questions in two ways with one trained encoder.
 *
 * <p><em>Attention mass</em>: the questions' tokens attend to the tokens of all passages at once,
 * in one softmax over the whole corpus; a passage's mass is the share that falls to it, the mean
 * over heads and over the question's tokens. Queries and keys are those of one layer, each text
 * encoded by itself; special tokens neither ask nor answer. With the log-sum-exp of a passage's
 * scores and that of all, the mass is {@code exp(logSumExp(passage) − logSumExp(corpus))}: partial
 * states are merged, scores are never gathered, and the bits do not depend on how passages lie on
 * the cluster.
 *
 * <p><em>Cosine</em>: of the mean-pooled last states, as in sentence embeddings (Reimers and
 * Gurevych 2019, arXiv:1908.10084).
 */
public final class PassageRanking implements Serializable {
  private static final long serialVersionUID = 1L;

  /** The table that {@link #rank} makes. */
  private static final StructType SCORES =
      new StructType()
          .add("question", DataTypes.IntegerType, false)
          .add("passage_id", DataTypes.StringType, false)
          .add("attention_mass", DataTypes.DoubleType, false)
          .add("cosine", DataTypes.DoubleType, false);

  private final BertModel model;

  /** The model's {@code tokenizer.json}. */
  private final byte[] tokenizer;

  private final int layer;

  /** Values are nothing: only scores count. */
  private final HeadLayout heads;

  /**
   * @param folder a model with its tokenizer, read here and sent to the executors
   * @param layer whose queries and keys meet, counted from 0; empty: the last
   */
  public PassageRanking(ModelFolder folder, OptionalInt layer) {
    this.model = BertModel.load(folder);
    this.tokenizer = TextTokenizer.bytes(folder);
    int layers = model.config().layers();
    this.layer = layer.orElse(layers - 1);
    if (this.layer < 0 || this.layer >= layers) {
      throw new InvalidInputException(
          "Invalid layer: found %d, expected 0 to %d of the model's layers"
              .formatted(this.layer, layers - 1));
    }
    this.heads =
        new HeadLayout(
            model.config().numHeads(), model.config().numHeads(), model.config().headDim(), 1);
  }

  /**
   * What a text gives.
   *
   * @param rows tokens of the text itself
   * @param vectors their queries or keys at the layer, [rows, heads, headDim]
   * @param embedding the mean of all last states, of length 1, [hidden]
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Encoded(int rows, float[] vectors, float[] embedding) {}

  /**
   * The questions, the same for all passages.
   *
   * @param rows of all questions
   * @param queries [rows, heads, headDim]
   * @param firstRows [questions + 1]: where the rows of a question begin
   * @param embeddings [questions][hidden], of length 1
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Questions(int rows, float[] queries, int[] firstRows, float[][] embeddings)
      implements Serializable {}

  /**
   * How one passage answers all questions.
   *
   * @param logSumExp of its scores, [heads, rows of all questions]
   * @param cosines [questions]
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Answer(String id, float[] logSumExp, double[] cosines) implements Serializable {}

  /**
   * Scores every passage for every question.
   *
   * @param passages columns {@code passage_id} and {@code text}, strings
   * @return {@code question} (int, from 0), {@code passage_id}, {@code attention_mass} (the masses
   *     of a question sum to 1), {@code cosine}, {@code attention_rank} and {@code cosine_rank}
   *     (from 1; of equals the smaller id comes first); it is computed now and released with {@code
   *     unpersist}
   * @throws InvalidInputException if there is no question or no passage, an id occurs twice, or a
   *     text has no tokens or more than the model has positions; Spark wraps it where a task found
   *     out
   */
  public Dataset<Row> rank(SparkSession spark, List<String> questions, Dataset<Row> passages) {
    refuseRepeatedIds(passages);
    JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    Broadcast<PassageRanking> everywhere = context.broadcast(this);
    Broadcast<Questions> asked = context.broadcast(encode(questions));
    int rows = asked.value().rows();
    JavaPairRDD<AttentionState, List<Answer>> answers =
        passages
            .select("passage_id", "text")
            .toJavaRDD()
            .mapPartitionsToPair(
                some -> List.of(everywhere.value().answer(some, asked.value())).iterator())
            .persist(StorageLevel.MEMORY_AND_DISK());
    try {
      AttentionState corpus =
          answers.keys().treeAggregate(null, PassageRanking::merged, PassageRanking::merged);
      Broadcast<float[]> logSumExp = context.broadcast(logSumExp(corpus));
      JavaRDD<Row> scores =
          answers
              .values()
              .flatMap(List::iterator)
              .flatMap(answer -> scores(answer, asked.value(), logSumExp.value()).iterator());
      return computed(ranked(spark.createDataFrame(scores, SCORES)));
    } finally {
      answers.unpersist(false);
    }
  }

  /** Computes the table, so that what it is made of can be released. */
  private static Dataset<Row> computed(Dataset<Row> table) {
    table.persist(StorageLevel.MEMORY_AND_DISK());
    try {
      if (table.count() == 0) {
        throw new InvalidInputException("Cannot rank: found no passage, expected at least one");
      }
      return table;
    } catch (Throwable e) {
      table.unpersist();
      throw e;
    }
  }

  private static void refuseRepeatedIds(Dataset<Row> passages) {
    List<Row> repeated =
        passages.groupBy("passage_id").count().where("count > 1").limit(1).collectAsList();
    if (!repeated.isEmpty()) {
      throw new InvalidInputException(
          "Cannot rank passages: found passage_id '%s' %d times, expected each once"
              .formatted(repeated.get(0).getString(0), repeated.get(0).getLong(1)));
    }
  }

  private Questions encode(List<String> questions) {
    if (questions.isEmpty()) {
      throw new InvalidInputException("Cannot rank: found no question, expected at least one");
    }
    int[] firstRows = new int[questions.size() + 1];
    float[][] embeddings = new float[questions.size()][];
    List<float[]> queries = new ArrayList<>();
    try (TextTokenizer opened = TextTokenizer.open(tokenizer, "of the model")) {
      for (int i = 0; i < questions.size(); i++) {
        String name = "question %d".formatted(i + 1);
        Encoded encoded = encode(opened, questions.get(i), name, BertLayer::query);
        queries.add(encoded.vectors());
        embeddings[i] = encoded.embedding();
        firstRows[i + 1] = firstRows[i] + encoded.rows();
      }
    }
    int rows = firstRows[questions.size()];
    float[] all = new float[Math.multiplyExact(rows, heads.numHeads() * heads.keyDim())];
    int at = 0;
    for (float[] some : queries) {
      System.arraycopy(some, 0, all, at, some.length);
      at += some.length;
    }
    return new Questions(rows, all, firstRows, embeddings);
  }

  /** All passages of a partition: their answers, and the state of the questions over their keys. */
  private Tuple2<AttentionState, List<Answer>> answer(Iterator<Row> passages, Questions questions) {
    LocalAttention attention = new LocalAttention(heads, AttentionMask.full());
    Block at = new Block(0, 0, questions.rows());
    QueryBlock queries = attention.queries(questions.queries(), questions.rows());
    AttentionState all = emptyState(questions.rows());
    List<Answer> answers = new ArrayList<>();
    try (TextTokenizer opened = TextTokenizer.open(tokenizer, "of the model")) {
      while (passages.hasNext()) {
        Row passage = passages.next();
        String id = passage.getString(0);
        Encoded encoded =
            encode(opened, passage.getString(1), "passage '" + id + "'", BertLayer::key);
        KeyValueBlock keys =
            attention.keyValues(
                encoded.vectors(), new float[encoded.rows() * heads.numHeads()], encoded.rows());
        AttentionState state = emptyState(questions.rows());
        attention.fold(at, queries, new Block(0, 0, encoded.rows()), keys, state);
        all.merge(state);
        answers.add(new Answer(id, logSumExp(state), cosines(questions, encoded.embedding())));
      }
    }
    return new Tuple2<>(all, answers);
  }

  private Encoded encode(
      TextTokenizer opened, String text, String name, Function<BertLayer, DenseLayer> projection) {
    TokenizedText tokens = opened.tokenize(text == null ? "" : text);
    int[] rows =
        IntStream.range(0, tokens.size()).filter(i -> tokens.end(i) > tokens.start(i)).toArray();
    if (rows.length == 0) {
      throw new InvalidInputException(
          "Cannot rank %s: found no tokens in its text, expected at least one".formatted(name));
    }
    if (tokens.size() > model.config().positions()) {
      throw new InvalidInputException(
          "Cannot rank %s: found %d tokens, expected at most the %d positions of the model; cut the text"
              .formatted(name, tokens.size(), model.config().positions()));
    }
    LocalEncoder encoder = new LocalEncoder(model);
    List<float[]> inputs = new ArrayList<>();
    float[] states = encoder.encode(tokens.ids(), inputs::add);
    float[] projected =
        projection.apply(model.layer(layer)).apply(inputs.get(layer), tokens.size());
    int width = heads.numHeads() * heads.keyDim();
    float[] vectors = new float[rows.length * width];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(projected, rows[i] * width, vectors, i * width, width);
    }
    float[] mean = Pooling.MEAN.pool(states, tokens.size(), model.config().hidden());
    return new Encoded(rows.length, vectors, Pooling.normalized(mean));
  }

  private static double[] cosines(Questions questions, float[] embedding) {
    double[] cosines = new double[questions.embeddings().length];
    for (int question = 0; question < cosines.length; question++) {
      float[] asked = questions.embeddings()[question];
      for (int i = 0; i < embedding.length; i++) {
        cosines[question] += (double) asked[i] * embedding[i];
      }
    }
    return cosines;
  }

  private AttentionState emptyState(int rows) {
    return new AttentionState(heads.numHeads(), rows, heads.valueDim());
  }

  /** The sum of both, one of which may be missing; the second stays as it is. */
  private static AttentionState merged(AttentionState sum, AttentionState other) {
    if (other == null) {
      return sum;
    }
    AttentionState into =
        sum == null ? new AttentionState(other.heads(), other.rows(), other.valueDim()) : sum;
    into.merge(other);
    return into;
  }

  /** [heads, rows]. */
  private static float[] logSumExp(AttentionState state) {
    float[] output = new float[state.valueDim()];
    float[] logSumExp = new float[state.heads() * state.rows()];
    for (int head = 0; head < state.heads(); head++) {
      for (int row = 0; row < state.rows(); row++) {
        logSumExp[head * state.rows() + row] = state.finish(head, row, output, 0);
      }
    }
    return logSumExp;
  }

  /** One passage's row for each question. */
  private static List<Row> scores(Answer answer, Questions questions, float[] corpus) {
    int heads = corpus.length / questions.rows();
    List<Row> rows = new ArrayList<>();
    for (int question = 0; question < answer.cosines().length; question++) {
      int from = questions.firstRows()[question];
      int to = questions.firstRows()[question + 1];
      double mass = 0;
      for (int head = 0; head < heads; head++) {
        for (int row = head * questions.rows() + from; row < head * questions.rows() + to; row++) {
          mass += Math.exp((double) answer.logSumExp()[row] - corpus[row]);
        }
      }
      mass /= heads * (to - from);
      rows.add(RowFactory.create(question, answer.id(), mass, answer.cosines()[question]));
    }
    return rows;
  }

  private static Dataset<Row> ranked(Dataset<Row> scores) {
    return scores
        .withColumn("attention_rank", functions.row_number().over(best("attention_mass")))
        .withColumn("cosine_rank", functions.row_number().over(best("cosine")));
  }

  private static WindowSpec best(String column) {
    return Window.partitionBy("question")
        .orderBy(functions.col(column).desc(), functions.col("passage_id"));
  }

  /** Names what travels to Kryo: by Java serialization, once per executor or passage. */
  public static void register(Kryo kryo) {
    kryo.register(PassageRanking.class, new JavaSerializer());
    kryo.register(Questions.class, new JavaSerializer());
    kryo.register(Answer.class, new JavaSerializer());
  }
}

package io.sparkattention.driver.ml;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.model.BertModel;
import io.sparkattention.driver.model.ModelFolder;
import io.sparkattention.driver.model.Pooling;
import io.sparkattention.driver.model.TextTokenizer;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.ml.Transformer;
import org.apache.spark.ml.linalg.SQLDataTypes;
import org.apache.spark.ml.param.BooleanParam;
import org.apache.spark.ml.param.Param;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.ml.util.DefaultParamsReader;
import org.apache.spark.ml.util.DefaultParamsWritable;
import org.apache.spark.ml.util.Identifiable$;
import org.apache.spark.ml.util.MLReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * Texts to contextual embeddings by a trained BERT encoder (Devlin et al. 2018), a row by itself:
 * no row may have more tokens than the model has positions, special tokens included.
 *
 * <p>{@code inputCol} holds texts, which the model's tokenizer cuts, or token ids ({@code
 * array<int>}, special tokens included). {@code outputCol} is a {@code Vector} [hidden] that is
 * pooled from the tokens, or with {@code pooling} "none" an {@code array<array<float>>} [tokens,
 * hidden].
 *
 * <p>{@link #transform} loads the model now and encodes when the result is asked for. Spark's
 * cleaner releases the model's copies on the executors when nobody refers to the result any more. A
 * saved stage names the model's folder, which has to be there when it is used.
 */
public final class TransformerEncoder extends Transformer implements DefaultParamsWritable {
  private static final long serialVersionUID = 1L;

  private static final List<String> POOLINGS =
      Arrays.stream(Pooling.values()).map(TransformerEncoder::word).toList();

  private final String uid;
  private final Param<String> modelDir;
  private final Param<String> inputCol;
  private final Param<String> outputCol;
  private final Param<String> pooling;
  private final BooleanParam normalize;

  /** With a name of its own. */
  public TransformerEncoder() {
    this(Identifiable$.MODULE$.randomUID("TransformerEncoder"));
  }

  /**
   * As a copy or a loaded stage is made.
   *
   * @param uid the stage's name
   */
  public TransformerEncoder(String uid) {
    this.uid = uid;
    this.modelDir =
        new Param<>(
            this,
            "modelDir",
            "folder of the driver's file system with the model's weights and tokenizer.json",
            TransformerEncoder::requirePath);
    this.inputCol =
        ColumnNames.param(
            this,
            "inputCol",
            "column of the texts (string) or of their token ids with special tokens (array<int>)");
    this.outputCol = ColumnNames.param(this, "outputCol", "column of embeddings to be appended");
    this.pooling =
        new Param<>(
            this,
            "pooling",
            "how a text's tokens become one vector: mean, cls (the first token's) or max; none: an array for each token",
            TransformerEncoder::requirePooling);
    this.normalize =
        new BooleanParam(this, "normalize", "whether embeddings are divided by their L2 norm");
    setDefault(inputCol, "text");
    setDefault(outputCol, "embedding");
    setDefault(pooling, word(Pooling.MEAN));
    setDefault(normalize, false);
  }

  private static String word(Pooling pooling) {
    return pooling.name().toLowerCase(Locale.ROOT);
  }

  private static Object requirePath(String path) {
    if (path == null || path.isBlank()) {
      throw new IllegalArgumentException(
          "Invalid modelDir: found '%s', expected the path of a folder".formatted(path));
    }
    return true;
  }

  private static Object requirePooling(String word) {
    if (!POOLINGS.contains(word)) {
      throw new IllegalArgumentException(
          "Invalid pooling: found '%s', expected one of %s"
              .formatted(word, String.join(", ", POOLINGS)));
    }
    return true;
  }

  /** Reads stages that {@code save} has written. */
  public static MLReader<TransformerEncoder> read() {
    return new DefaultParamsReader<>();
  }

  /** Reads one stage that {@code save} has written. */
  public static TransformerEncoder load(String path) {
    return read().load(path);
  }

  @Override
  public String uid() {
    return uid;
  }

  @Override
  public TransformerEncoder copy(ParamMap extra) {
    return defaultCopy(extra);
  }

  /**
   * The schema with the embeddings' column.
   *
   * @throws IllegalArgumentException if the input column is missing or has another type than
   *     expected, one of the output column's name is there, or no model was set
   */
  @Override
  public StructType transformSchema(StructType schema) {
    if (!isDefined(modelDir)) {
      throw new IllegalArgumentException(
          "Missing modelDir of %s: expected the path of a model's folder; call setModelDir"
              .formatted(uid));
    }
    ColumnCheck check = new ColumnCheck(this, schema);
    check.require(
        "inputCol",
        $(inputCol),
        type -> isText(type) || ColumnCheck.isArrayOf(type, DataTypes.IntegerType),
        "string or array<int>");
    DataType output =
        $(pooling).equals(word(Pooling.NONE))
            ? DataTypes.createArrayType(ColumnCheck.floats(), false)
            : SQLDataTypes.VectorType();
    return check.append("outputCol", $(outputCol), output);
  }

  private static boolean isText(DataType type) {
    return type.equals(DataTypes.StringType);
  }

  /**
   * Appends the embeddings, which are computed when the result is asked for.
   *
   * @throws IllegalArgumentException as {@link #transformSchema} does
   * @throws InvalidInputException if the model cannot be used; later, wrapped by Spark, if a row is
   *     null, or longer than the model allows
   */
  @Override
  public Dataset<Row> transform(Dataset<?> dataset) {
    StructType schema = dataset.schema();
    StructType result = transformSchema(schema);
    String column = $(inputCol);
    int index = schema.fieldIndex(column);
    RowEncoder encoder = encoder(isText(schema.apply(index).dataType()));
    Broadcast<RowEncoder> everywhere =
        JavaSparkContext.fromSparkContext(dataset.sparkSession().sparkContext()).broadcast(encoder);
    MapPartitionsFunction<Row, Row> encode = rows -> everywhere.value().encode(rows, index, column);
    return dataset.toDF().mapPartitions(encode, Encoders.row(result));
  }

  private RowEncoder encoder(boolean texts) {
    ModelFolder folder = ModelFolder.at($(modelDir));
    byte[] tokenizer = texts ? TextTokenizer.bytes(folder) : null;
    Pooling pooled = Pooling.valueOf($(pooling).toUpperCase(Locale.ROOT));
    boolean unit = (Boolean) $(normalize);
    return new RowEncoder(BertModel.load(folder), tokenizer, pooled, unit);
  }

  /** Folder of the model. */
  public Param<String> modelDir() {
    return modelDir;
  }

  public TransformerEncoder setModelDir(String path) {
    set(modelDir, path);
    return this;
  }

  /** Column of texts or token ids. */
  public Param<String> inputCol() {
    return inputCol;
  }

  public TransformerEncoder setInputCol(String column) {
    set(inputCol, column);
    return this;
  }

  /** Column of embeddings. */
  public Param<String> outputCol() {
    return outputCol;
  }

  public TransformerEncoder setOutputCol(String column) {
    set(outputCol, column);
    return this;
  }

  /** How tokens become one vector. */
  public Param<String> pooling() {
    return pooling;
  }

  public TransformerEncoder setPooling(String word) {
    set(pooling, word);
    return this;
  }

  /** Whether embeddings have length 1. */
  public BooleanParam normalize() {
    return normalize;
  }

  public TransformerEncoder setNormalize(boolean value) {
    set(normalize, value);
    return this;
  }
}

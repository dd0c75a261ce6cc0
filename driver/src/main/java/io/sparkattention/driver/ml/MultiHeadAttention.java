package io.sparkattention.driver.ml;

import static org.apache.spark.sql.functions.when;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.DistributedAttention;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.io.AttentionRow;
import io.sparkattention.driver.io.ParquetInput;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.ml.functions;
import org.apache.spark.ml.linalg.SQLDataTypes;
import org.apache.spark.ml.param.Param;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.ml.util.DefaultParamsReader;
import org.apache.spark.ml.util.DefaultParamsWritable;
import org.apache.spark.ml.util.Identifiable$;
import org.apache.spark.ml.util.MLReader;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.IntegralType;
import org.apache.spark.sql.types.StructType;

/**
 * Exact multi-head attention over a table of token rows, softmax(QKᵀ · scale) V per head (Vaswani
 * et al. 2017, "Attention Is All You Need", section 3.2), without the projections before and after
 * it.
 *
 * <p>A row is a token: the id of its sequence, its position, and its query [numHeads · headDim],
 * key [numKeyValueHeads · headDim] and value [numKeyValueHeads · valueDim], heads side by side.
 * Query, key and value may be one column. All columns come back, in no particular order of rows,
 * with {@code outputCol} [numHeads · valueDim] appended and, where it is set, {@code logSumExpCol}
 * [numHeads]. A column of {@code array<float>} gives arrays; a {@code Vector} is rounded to float32
 * and gives vectors.
 *
 * <p>{@link #transform} is not lazy: it reads the table several times (which has to find the same
 * rows each time) and computes the attention, which stays in Spark's storage. Only the join with
 * the other columns is left to whoever uses the result. There is nothing to be closed: Spark's
 * cleaner releases the storage when nobody refers to the result any more, and what is lost with an
 * executor is computed again from the table. To keep a result, write it.
 *
 * <p>Wrong columns are an {@link IllegalArgumentException}, wrong numbers an {@link
 * InvalidInputException}, which Spark wraps where a task found it.
 */
public final class MultiHeadAttention extends AttentionParams implements DefaultParamsWritable {
  private static final long serialVersionUID = 1L;

  /** A column in a message of the engine. */
  private static final Pattern NAMED_COLUMN =
      Pattern.compile("column '(sequence_id|position|query|key|value)'");

  private final Param<String> queryCol;
  private final Param<String> keyCol;
  private final Param<String> valueCol;
  private final Param<String> sequenceCol;
  private final Param<String> positionCol;
  private final Param<String> outputCol;
  private final Param<String> logSumExpCol;

  /** With a name of its own. */
  public MultiHeadAttention() {
    this(Identifiable$.MODULE$.randomUID("MultiHeadAttention"));
  }

  /**
   * As a copy or a loaded stage is made.
   *
   * @param uid the stage's name
   */
  public MultiHeadAttention(String uid) {
    super(uid);
    this.queryCol =
        ColumnNames.param(
            this,
            "queryCol",
            "column of the queries: array<float> or Vector, numHeads * headDim numbers");
    this.keyCol =
        ColumnNames.param(
            this,
            "keyCol",
            "column of the keys: array<float> or Vector, numKeyValueHeads * headDim numbers");
    this.valueCol =
        ColumnNames.param(
            this,
            "valueCol",
            "column of the values: array<float> or Vector, numKeyValueHeads * valueDim numbers");
    this.sequenceCol =
        ColumnNames.param(this, "sequenceCol", "column of the sequence ids: string or integer");
    this.positionCol =
        ColumnNames.param(
            this,
            "positionCol",
            "column of the tokens' positions, 0 to n - 1 in each sequence: integer");
    this.outputCol =
        ColumnNames.param(
            this,
            "outputCol",
            "column to be appended: the queries' attention, numHeads * valueDim numbers, of the type of the query column");
    this.logSumExpCol =
        ColumnNames.param(
            this,
            "logSumExpCol",
            "column to be appended: natural logarithm of the softmax denominators, array<float> of numHeads; none if not set");
    setDefault(queryCol, "query");
    setDefault(keyCol, "key");
    setDefault(valueCol, "value");
    setDefault(sequenceCol, "sequence_id");
    setDefault(positionCol, "position");
    setDefault(outputCol, "attention");
  }

  /** Reads stages that {@code save} has written. */
  public static MLReader<MultiHeadAttention> read() {
    return new DefaultParamsReader<>();
  }

  /** Reads one stage that {@code save} has written. */
  public static MultiHeadAttention load(String path) {
    return read().load(path);
  }

  @Override
  public MultiHeadAttention copy(ParamMap extra) {
    return defaultCopy(extra);
  }

  /**
   * The schema with the appended columns.
   *
   * @throws IllegalArgumentException if a column is missing or has another type than expected, or
   *     one of an appended column's name is there
   */
  @Override
  public StructType transformSchema(StructType schema) {
    ColumnCheck check = new ColumnCheck(this, schema);
    check.require(
        "sequenceCol",
        $(sequenceCol),
        type -> type.equals(DataTypes.StringType) || type instanceof IntegralType,
        "string, bigint or int");
    check.require(
        "positionCol", $(positionCol), type -> type instanceof IntegralType, "bigint or int");
    DataType query = requireNumbers(check, queryCol);
    requireNumbers(check, keyCol);
    requireNumbers(check, valueCol);
    DataType output = isVector(query) ? query : ColumnCheck.floats();
    StructType result = check.append("outputCol", $(outputCol), output);
    return isDefined(logSumExpCol)
        ? new ColumnCheck(this, result)
            .append("logSumExpCol", $(logSumExpCol), ColumnCheck.floats())
        : result;
  }

  private DataType requireNumbers(ColumnCheck check, Param<String> param) {
    return check.require(
        param.name(),
        $(param),
        type -> isVector(type) || ColumnCheck.isArrayOf(type, DataTypes.FloatType),
        "array<float> or vector");
  }

  private static boolean isVector(DataType type) {
    return type.equals(SQLDataTypes.VectorType());
  }

  /**
   * Computes the attention of all rows.
   *
   * @throws IllegalArgumentException as {@link #transformSchema} does
   * @throws InvalidInputException if ids, positions or widths are not as they have to be or a
   *     setting does not go with them
   */
  @Override
  public Dataset<Row> transform(Dataset<?> dataset) {
    StructType schema = dataset.schema();
    transformSchema(schema);
    SparkSession spark = dataset.sparkSession();
    Dataset<Row> rows = dataset.toDF();
    try {
      AttentionConfig config = config(spark);
      requireHeads(config);
      ParquetInput input = ParquetInput.of(tokens(rows, schema), "the input of " + uid(), config);
      JavaRDD<AttentionRows> attended;
      try (var computed = new DistributedAttention(spark).attend(input, config)) {
        attended = computed.keepRows();
      }
      DataType idType = schema.apply($(sequenceCol)).dataType();
      return joined(
          rows,
          schema,
          AttentionRow.table(spark, attended, input.sequences(), input.layout(), idType));
    } catch (InvalidInputException e) {
      throw new InvalidInputException(inColumns(inParams(e.getMessage())), e);
    }
  }

  private void requireHeads(AttentionConfig config) {
    if (config.numHeads().isEmpty()) {
      throw new InvalidInputException(
          "Missing numHeads of %s: rows do not tell how many heads they hold; call setNumHeads"
              .formatted(uid()));
    }
  }

  /** An error's message with the table's column names instead of the engine's. */
  private String inColumns(String message) {
    Map<String, String> names =
        Map.of(
            "sequence_id", $(sequenceCol),
            "position", $(positionCol),
            "query", $(queryCol),
            "key", $(keyCol),
            "value", $(valueCol));
    return NAMED_COLUMN
        .matcher(message)
        .replaceAll(
            found -> Matcher.quoteReplacement("column '" + names.get(found.group(1)) + "'"));
  }

  /** Under the names that the engine knows. */
  private Dataset<Row> tokens(Dataset<Row> rows, StructType schema) {
    return rows.select(
        ColumnCheck.column($(sequenceCol)).as("sequence_id"),
        ColumnCheck.column($(positionCol)).as("position"),
        floats($(queryCol), schema).as("query"),
        floats($(keyCol), schema).as("key"),
        floats($(valueCol), schema).as("value"));
  }

  private static Column floats(String name, StructType schema) {
    Column column = ColumnCheck.column(name);
    return isVector(schema.apply(name).dataType())
        // A null stays one, of which the engine says where it is.
        ? when(column.isNotNull(), functions.vector_to_array(column, "float32"))
        : column;
  }

  /** Each row with its attention: ids and positions were checked to be there once. */
  private Dataset<Row> joined(Dataset<Row> rows, StructType schema, Dataset<Row> table) {
    String sequence = uid() + "_sequence";
    String position = uid() + "_position";
    String output = uid() + "_output";
    String logSumExp = uid() + "_log_sum_exp";
    Dataset<Row> attention = table.toDF(sequence, position, output, logSumExp);
    Column same =
        ColumnCheck.column($(sequenceCol))
            .equalTo(ColumnCheck.column(sequence))
            .and(ColumnCheck.column($(positionCol)).equalTo(ColumnCheck.column(position)));
    List<Column> columns = new ArrayList<>();
    for (String name : schema.fieldNames()) {
      columns.add(ColumnCheck.column(name));
    }
    boolean vectors = isVector(schema.apply($(queryCol)).dataType());
    Column found = ColumnCheck.column(output);
    columns.add((vectors ? functions.array_to_vector(found) : found).as($(outputCol)));
    if (isDefined(logSumExpCol)) {
      columns.add(ColumnCheck.column(logSumExp).as($(logSumExpCol)));
    }
    return rows.join(attention, same).select(columns.toArray(Column[]::new));
  }

  /** Column of the queries. */
  public Param<String> queryCol() {
    return queryCol;
  }

  public MultiHeadAttention setQueryCol(String column) {
    set(queryCol, column);
    return this;
  }

  /** Column of the keys. */
  public Param<String> keyCol() {
    return keyCol;
  }

  public MultiHeadAttention setKeyCol(String column) {
    set(keyCol, column);
    return this;
  }

  /** Column of the values. */
  public Param<String> valueCol() {
    return valueCol;
  }

  public MultiHeadAttention setValueCol(String column) {
    set(valueCol, column);
    return this;
  }

  /** Column of the sequence ids. */
  public Param<String> sequenceCol() {
    return sequenceCol;
  }

  public MultiHeadAttention setSequenceCol(String column) {
    set(sequenceCol, column);
    return this;
  }

  /** Column of the positions. */
  public Param<String> positionCol() {
    return positionCol;
  }

  public MultiHeadAttention setPositionCol(String column) {
    set(positionCol, column);
    return this;
  }

  /** Column to be appended. */
  public Param<String> outputCol() {
    return outputCol;
  }

  public MultiHeadAttention setOutputCol(String column) {
    set(outputCol, column);
    return this;
  }

  /** Column of log-sum-exps to be appended. */
  public Param<String> logSumExpCol() {
    return logSumExpCol;
  }

  public MultiHeadAttention setLogSumExpCol(String column) {
    set(logSumExpCol, column);
    return this;
  }

  public MultiHeadAttention setNumHeads(int value) {
    set(numHeads(), value);
    return this;
  }

  public MultiHeadAttention setNumKeyValueHeads(int value) {
    set(numKeyValueHeads(), value);
    return this;
  }

  public MultiHeadAttention setMask(String value) {
    set(mask(), value);
    return this;
  }

  public MultiHeadAttention setScale(double value) {
    set(scale(), value);
    return this;
  }

  public MultiHeadAttention setSoftcap(double value) {
    set(softcap(), value);
    return this;
  }

  public MultiHeadAttention setAlibi(String value) {
    set(alibi(), value);
    return this;
  }

  public MultiHeadAttention setExchange(String value) {
    set(exchange(), value);
    return this;
  }

  public MultiHeadAttention setAssignment(String value) {
    set(assignment(), value);
    return this;
  }

  public MultiHeadAttention setShards(int value) {
    set(shards(), value);
    return this;
  }

  public MultiHeadAttention setBlockTokens(int value) {
    set(blockTokens(), value);
    return this;
  }
}

package io.sparkattention.driver.io;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.min;
import static org.apache.spark.sql.functions.size;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionInput;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.Block;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.IntegralType;
import org.apache.spark.sql.types.StructType;

/**
 * A Parquet dataset with the columns {@code sequence_id} (string or integer), {@code position}
 * (integer), {@code query}, {@code key} and {@code value} (array of float, heads · headDim), its
 * rows in any order. Rows travel once, to the owners of their blocks.
 */
public final class ParquetInput implements AttentionInput {
  private final SparkSession spark;
  private final String path;
  private final Dataset<Row> rows;
  private final HeadLayout layout;
  private final List<SequenceShape> sequences;

  private ParquetInput(SparkSession spark, String path, Dataset<Row> rows, AttentionConfig config) {
    this.spark = spark;
    this.path = path;
    this.rows = rows;
    checkColumns();
    this.layout = headLayout(config);
    this.sequences = findSequences();
  }

  /**
   * Reads the schema, one row for the widths of its columns, and the ids and positions of all.
   *
   * @param config tells the head counts
   * @throws InvalidInputException if the dataset is not as it has to be
   */
  public static ParquetInput open(SparkSession spark, String path, AttentionConfig config) {
    try {
      return new ParquetInput(spark, path, spark.read().parquet(path), config);
    } catch (Exception e) {
      // Not RuntimeException: Scala throws checked ones that the compiler does not expect.
      Optional<InvalidInputException> wrong = UnreadableParquet.explain(path, e);
      if (wrong.isPresent()) {
        throw wrong.get();
      }
      throw e;
    }
  }

  private void checkColumns() {
    DataType id = typeOf("sequence_id");
    if (!id.equals(DataTypes.StringType) && !(id instanceof IntegralType)) {
      throw mistyped("sequence_id", id, "string, bigint or int");
    }
    DataType position = typeOf("position");
    if (!(position instanceof IntegralType)) {
      throw mistyped("position", position, "bigint or int");
    }
    for (String name : List.of("query", "key", "value")) {
      DataType type = typeOf(name);
      if (!(type instanceof ArrayType array) || !array.elementType().equals(DataTypes.FloatType)) {
        throw mistyped(name, type, "array<float>");
      }
    }
  }

  private DataType typeOf(String column) {
    StructType schema = rows.schema();
    if (schema.getFieldIndex(column).isEmpty()) {
      throw new InvalidInputException(
          "Missing column '%s' in '%s': found %s, expected sequence_id, position, query, key, value; add or rename it"
              .formatted(column, path, String.join(", ", schema.fieldNames())));
    }
    return schema.apply(column).dataType();
  }

  private InvalidInputException mistyped(String column, DataType found, String expected) {
    return new InvalidInputException(
        "Invalid column '%s' in '%s': found type %s, expected %s; cast it"
            .formatted(column, path, found.simpleString(), expected));
  }

  private HeadLayout headLayout(AttentionConfig config) {
    int heads =
        config
            .numHeads()
            .orElseThrow(
                () ->
                    new InvalidInputException(
                        "Missing --num-heads: rows of '%s' do not tell how many heads they hold; give --num-heads N"
                            .formatted(path)));
    int keyValueHeads = config.numKeyValueHeads().orElse(heads);
    String keyValueOption =
        config.numKeyValueHeads().isPresent() ? "--num-kv-heads" : "--num-heads";
    Row widths = widths();
    int query = dim(widths, "query", heads, "--num-heads");
    int key = dim(widths, "key", keyValueHeads, keyValueOption);
    int value = dim(widths, "value", keyValueHeads, keyValueOption);
    return new InputHeads(heads, keyValueHeads, query, key, value)
        .layout(path, "correct --num-heads and --num-kv-heads");
  }

  /** The widths of a row whose arrays are there; other rows are checked as they are packed. */
  private Row widths() {
    Column[] sizes =
        Stream.of("query", "key", "value")
            .map(name -> size(col(name)).as(name))
            .toArray(Column[]::new);
    Dataset<Row> widths = rows.select(sizes);
    List<Row> first = widths.na().drop().takeAsList(1);
    if (!first.isEmpty()) {
      return first.get(0);
    }
    throw new InvalidInputException(
        rows.isEmpty()
            ? "Empty dataset: found no rows in '%s', expected at least one".formatted(path)
            : "Invalid rows in '%s': found a null array in each, expected query, key and value"
                .formatted(path));
  }

  private int dim(Row widths, String column, int heads, String option) {
    int width = widths.getInt(widths.fieldIndex(column));
    if (width == 0 || width % heads != 0) {
      throw new InvalidInputException(
          "Invalid column '%s' in '%s': found arrays of %d floats, expected a multiple of %s %d"
              .formatted(column, path, width, option, heads));
    }
    return width / heads;
  }

  /** By id, so that the result does not depend on the order of the files. */
  private List<SequenceShape> findSequences() {
    List<Row> found =
        rows.groupBy(col("sequence_id"))
            .agg(
                count(lit(1)).as("rows"),
                count(col("position")).as("positions"),
                min(col("position").cast(DataTypes.LongType)).as("first"),
                max(col("position").cast(DataTypes.LongType)).as("last"))
            .orderBy(col("sequence_id"))
            .collectAsList();
    List<SequenceShape> result = new ArrayList<>();
    for (Row row : found) {
      result.add(sequence(row));
    }
    return result;
  }

  private SequenceShape sequence(Row row) {
    if (row.isNullAt(0)) {
      throw new InvalidInputException(
          "Invalid column 'sequence_id' in '%s': found null, expected an id in each row; remove such rows"
              .formatted(path));
    }
    String id = row.get(0).toString();
    long count = row.getLong(1);
    if (row.getLong(2) != count) {
      throw new InvalidInputException(
          "Invalid column 'position' in '%s': found null in sequence '%s', expected a position in each row; number them from 0"
              .formatted(path, id));
    }
    if (row.getLong(3) != 0 || row.getLong(4) != count - 1) {
      throw new InvalidInputException(
          ("Invalid positions of sequence '%s' in '%s': found %d rows at positions %d to %d,"
                  + " expected each of 0 to %d once; number its rows from 0 without gaps")
              .formatted(id, path, count, row.getLong(3), row.getLong(4), count - 1));
    }
    return new SequenceShape(id, 0, count, count);
  }

  @Override
  public HeadLayout layout() {
    return layout;
  }

  @Override
  public ElementType keyValueType() {
    return ElementType.F32;
  }

  @Override
  public List<SequenceShape> sequences() {
    return sequences;
  }

  /** The type of the column {@code sequence_id}. */
  public DataType sequenceIdType() {
    return typeOf("sequence_id");
  }

  @Override
  public JavaRDD<PlacedQueries> queries(AttentionPlan plan) {
    BlockRouting routing =
        new BlockRouting(plan.queryBlocks(), plan.queryPartitions(), plan.sequences().size());
    RowBlocks blocks = new RowBlocks(path, layout, routing, idsByIndex());
    double scale = plan.scale();
    return blocks
        .shuffle(select("query"), sequenceIndex(), plan.queryPartitionCount())
        .mapPartitions(pieces -> blocks.queries(pieces, scale));
  }

  @Override
  public JavaRDD<PlacedKeyValues> keyValues(AttentionPlan plan) {
    List<Block> keyBlocks = new ArrayList<>();
    plan.keyRuns().forEach(keyBlocks::addAll);
    int[] partitions = new int[keyBlocks.size()];
    int next = 0;
    for (int run = 0; run < plan.keyRuns().size(); run++) {
      for (int i = 0; i < plan.keyRuns().get(run).size(); i++) {
        partitions[next++] = run;
      }
    }
    BlockRouting routing = new BlockRouting(keyBlocks, partitions, plan.sequences().size());
    RowBlocks blocks = new RowBlocks(path, layout, routing, idsByIndex());
    ElementType type = plan.keyValueType();
    return blocks
        .shuffle(select("key", "value"), sequenceIndex(), plan.keyRuns().size())
        .mapPartitions(pieces -> blocks.keyValues(pieces, type));
  }

  /** Id and position first, then the given columns. */
  private Dataset<Row> select(String... columns) {
    List<Column> selected = new ArrayList<>();
    selected.add(col("sequence_id").cast(DataTypes.StringType));
    selected.add(col("position").cast(DataTypes.LongType));
    for (String column : columns) {
      selected.add(col(column));
    }
    return rows.select(selected.toArray(Column[]::new));
  }

  private String[] idsByIndex() {
    return sequences.stream().map(SequenceShape::id).toArray(String[]::new);
  }

  private Broadcast<HashMap<String, Integer>> sequenceIndex() {
    HashMap<String, Integer> index = new HashMap<>();
    for (int s = 0; s < sequences.size(); s++) {
      index.put(sequences.get(s).id(), s);
    }
    return JavaSparkContext.fromSparkContext(spark.sparkContext()).broadcast(index);
  }
}

package io.sparkattention.driver.io;

import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.AttentionInput;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.exchange.KeyValueFold;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.driver.io.SequenceTable.Extent;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.Block;
import io.sparkattention.partitioning.CausalAlignment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function0;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;

/**
 * A Parquet dataset with the columns {@code sequence_id} (string or integer), {@code position}
 * (integer), {@code query}, {@code key} and {@code value} (array of float, heads · headDim), its
 * rows in any order; or two, of which the one has keys and values and the other queries of the same
 * sequences. Rows travel once, to the owners of their blocks.
 *
 * <p>Positions of a sequence's keys are 0 … n − 1, those of its queries consecutive. Masks compare
 * the two as they are.
 */
public final class ParquetInput implements AttentionInput {
  private final SparkSession spark;
  private final SequenceTable keyTable;

  /** The same as {@link #keyTable} where one dataset holds all. */
  private final SequenceTable queryTable;

  private final HeadLayout layout;
  private final List<SequenceShape> sequences;

  private ParquetInput(
      SparkSession spark,
      SequenceTable keyTable,
      SequenceTable queryTable,
      AttentionConfig config) {
    this.spark = spark;
    this.keyTable = keyTable;
    this.queryTable = queryTable;
    this.layout = headLayout(config);
    this.sequences = findSequences(config.causalAlignment());
  }

  /**
   * Reads the schema, one row for the widths of its columns, and the ids and positions of all.
   *
   * @param config tells the head counts
   * @throws InvalidInputException if the dataset is not as it has to be
   */
  public static ParquetInput open(SparkSession spark, String path, AttentionConfig config) {
    SequenceTable table = new SequenceTable(spark, path, List.of("query", "key", "value"));
    return new ParquetInput(spark, table, table, config);
  }

  /**
   * The same where the queries are in a dataset of their own.
   *
   * @param path of the keys and values
   * @param queriesPath of the queries, at consecutive positions from anywhere; has the same
   *     sequences
   */
  public static ParquetInput open(
      SparkSession spark, String path, String queriesPath, AttentionConfig config) {
    SequenceTable keyTable = new SequenceTable(spark, path, List.of("key", "value"));
    SequenceTable queryTable = new SequenceTable(spark, queriesPath, List.of("query"));
    return new ParquetInput(spark, keyTable, queryTable, config);
  }

  /**
   * The same of rows that come from anywhere. They are read several times, so that each reading has
   * to find the same ones.
   *
   * @param name stands for a path in messages
   */
  public static ParquetInput of(Dataset<Row> rows, String name, AttentionConfig config) {
    SequenceTable table = new SequenceTable(rows, name, List.of("query", "key", "value"));
    return new ParquetInput(rows.sparkSession(), table, table, config);
  }

  private HeadLayout headLayout(AttentionConfig config) {
    int heads =
        config
            .numHeads()
            .orElseThrow(
                () ->
                    new InvalidInputException(
                        "Missing --num-heads: rows of '%s' do not tell how many heads they hold; give --num-heads N"
                            .formatted(queryTable.path())));
    int keyValueHeads = config.numKeyValueHeads().orElse(heads);
    String keyValueOption =
        config.numKeyValueHeads().isPresent() ? "--num-kv-heads" : "--num-heads";
    Map<String, Integer> keyWidths = keyTable.widths();
    Map<String, Integer> queryWidths = oneTable() ? keyWidths : queryTable.widths();
    int query = dim(queryTable, queryWidths, "query", heads, "--num-heads");
    int key = dim(keyTable, keyWidths, "key", keyValueHeads, keyValueOption);
    int value = dim(keyTable, keyWidths, "value", keyValueHeads, keyValueOption);
    String paths = "'" + keyTable.path() + "'";
    if (!oneTable()) {
      paths += " and '" + queryTable.path() + "'";
    }
    return new InputHeads(heads, keyValueHeads, query, key, value)
        .layout(paths, "correct --num-heads and --num-kv-heads");
  }

  private boolean oneTable() {
    return keyTable == queryTable;
  }

  private static int dim(
      SequenceTable table, Map<String, Integer> widths, String column, int heads, String option) {
    int width = widths.get(column);
    if (width == 0 || width % heads != 0) {
      throw new InvalidInputException(
          "Invalid column '%s' in '%s': found arrays of %d floats, expected a multiple of %s %d"
              .formatted(column, table.path(), width, option, heads));
    }
    return width / heads;
  }

  /** In the order of the queries' ids. */
  private List<SequenceShape> findSequences(CausalAlignment alignment) {
    Map<String, Extent> keys = keyTable.sequences();
    keys.forEach(this::requireFromZero);
    List<SequenceShape> result = new ArrayList<>();
    if (oneTable()) {
      keys.forEach((id, extent) -> result.add(shape(id, extent, extent)));
      return result;
    }
    requireIdsOfOneKind();
    Map<String, Extent> queries = queryTable.sequences();
    requireSequences(keyTable, keys, queryTable, queries, "keys and values");
    requireSequences(queryTable, queries, keyTable, keys, "queries");
    queries.forEach(this::requireConsecutive);
    queries.forEach((id, extent) -> result.add(shape(id, extent, keys.get(id))));
    result.forEach(shape -> requireAligned(shape, alignment));
    return result;
  }

  private static SequenceShape shape(String id, Extent queries, Extent keys) {
    return new SequenceShape(id, queries.first(), queries.rows(), keys.rows());
  }

  /** Ids meet as text: 7 would be '7', but 007 not. */
  private void requireIdsOfOneKind() {
    boolean keysByText = keyTable.idType().equals(DataTypes.StringType);
    if (keysByText != queryTable.idType().equals(DataTypes.StringType)) {
      throw queryTable.mistyped(
          "sequence_id",
          queryTable.idType(),
          "%s as in '%s'".formatted(keyTable.idType().simpleString(), keyTable.path()));
    }
  }

  private static void requireSequences(
      SequenceTable table,
      Map<String, Extent> sequences,
      SequenceTable other,
      Map<String, Extent> others,
      String what) {
    for (String id : others.keySet()) {
      if (!sequences.containsKey(id)) {
        throw new InvalidInputException(
            "Missing sequence '%s' in '%s': found it in '%s', expected each sequence in both; add its %s or remove it there"
                .formatted(id, table.path(), other.path(), what));
      }
    }
  }

  private void requireFromZero(String id, Extent extent) {
    if (extent.first() != 0 || extent.last() != extent.rows() - 1) {
      throw new InvalidInputException(
          ("Invalid positions of sequence '%s' in '%s': found %d rows at positions %d to %d,"
                  + " expected each of 0 to %d once; number its rows from 0 without gaps")
              .formatted(
                  id,
                  keyTable.path(),
                  extent.rows(),
                  extent.first(),
                  extent.last(),
                  extent.rows() - 1));
    }
  }

  private void requireConsecutive(String id, Extent extent) {
    // In this order nothing overflows.
    if (extent.first() < 0
        || extent.last() >= Block.MAX_POSITION
        || extent.last() - extent.first() != extent.rows() - 1) {
      throw new InvalidInputException(
          ("Invalid positions of sequence '%s' in '%s': found %d rows at positions %d to %d,"
                  + " expected each once, between 0 and 2^60; number its rows without gaps")
              .formatted(id, queryTable.path(), extent.rows(), extent.first(), extent.last()));
    }
  }

  /** Positions say where queries stand: an alignment by numbers of rows must not say otherwise. */
  private void requireAligned(SequenceShape shape, CausalAlignment alignment) {
    if (shape.offset(alignment) != 0) {
      long first = shape.keys() - shape.queries();
      throw new InvalidInputException(
          "Cannot align the queries of sequence '%s' in '%s' %s: found positions from %d on, expected them from %d on, since tables compare positions directly; number them so or leave out --causal-alignment"
              .formatted(shape.id(), queryTable.path(), alignment, shape.firstQuery(), first));
    }
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

  /** The type of the column {@code sequence_id} of the queries. */
  public DataType sequenceIdType() {
    return queryTable.idType();
  }

  @Override
  public JavaRDD<PlacedQueries> queries(AttentionPlan plan) {
    BlockRouting routing =
        new BlockRouting(plan.queryBlocks(), plan.queryPartitions(), plan.sequences().size());
    RowBlocks blocks = new RowBlocks(queryTable.path(), layout, routing, idsByIndex());
    double scale = plan.scale();
    return blocks
        .shuffle(queryTable.select("query"), sequenceIndex(), plan.queryPartitionCount())
        .mapPartitions(pieces -> blocks.queries(pieces, scale));
  }

  @Override
  public JavaRDD<PlacedKeyValues> keyValues(AttentionPlan plan) {
    RowBlocks blocks = keyBlocks(plan);
    ElementType type = plan.keyValueType();
    return blocks
        .shuffle(keyTable.select("key", "value"), sequenceIndex(), plan.keyRuns().size())
        .mapPartitions(pieces -> blocks.keyValues(pieces, type));
  }

  @Override
  public boolean foldsKeyValues() {
    return true;
  }

  @Override
  public JavaPairRDD<Block, AttentionState> foldKeyValues(
      AttentionPlan plan, Function0<KeyValueFold> newFold) {
    KeyValueScan scan = new KeyValueScan(keyBlocks(plan), plan.keyValueType(), newFold);
    return scan.states(keyTable.select("key", "value"), sequenceIndex(), plan.shards());
  }

  /** Partition i has the blocks of run i. */
  private RowBlocks keyBlocks(AttentionPlan plan) {
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
    return new RowBlocks(keyTable.path(), layout, routing, idsByIndex());
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

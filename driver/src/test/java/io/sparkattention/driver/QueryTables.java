package io.sparkattention.driver;

import static org.apache.spark.sql.functions.col;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.ParquetInput;
import io.sparkattention.kernels.HeadLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;

/** Keys and values in one table, queries in another, and the attention of both. */
final class QueryTables {
  private final SparkSession spark;
  private final DistributedAttention attention;

  QueryTables(SparkSession spark) {
    this.spark = spark;
    this.attention = new DistributedAttention(spark, 0.01);
  }

  /** In which order the rows of a table lie. */
  enum Order {
    /** By sequence and position, as most tables are written; files begin inside blocks. */
    BY_POSITION,
    /** The last rows first. */
    DESCENDING,
    /** The rows of each file by sequence and position, those of a block dealt out to the files. */
    INTERLEAVED,
    SHUFFLED
  }

  /** Keys and values of all sequences. */
  void writeKeys(Path folder, int files, Order order, Map<String, RandomSequence> sequences) {
    List<TokenRow> rows = new ArrayList<>();
    new TreeMap<>(sequences).forEach((id, sequence) -> rows.addAll(keyRows(id, sequence)));
    List<List<TokenRow>> parts = new ArrayList<>();
    switch (order) {
      case DESCENDING -> Collections.reverse(rows);
      case SHUFFLED -> Collections.shuffle(rows, new Random(files));
      case INTERLEAVED -> {
        List<TokenRow> dealt = new ArrayList<>();
        for (int file = 0; file < files; file++) {
          for (int i = file; i < rows.size(); i += files) {
            dealt.add(rows.get(i));
          }
        }
        rows.clear();
        rows.addAll(dealt);
      }
      default -> rows.sort(Comparator.comparing(TokenRow::getId));
    }
    for (int file = 0; file < files; file++) {
      parts.add(rows.subList(rows.size() * file / files, rows.size() * (file + 1) / files));
    }
    write(folder, parts, "key", "value");
  }

  /**
   * Keys and values of one sequence.
   *
   * @param files the positions that the rows of each file say they have
   */
  void writeKeys(Path folder, String id, RandomSequence sequence, List<List<Integer>> files) {
    List<TokenRow> rows = keyRows(id, sequence);
    write(
        folder,
        files.stream().map(file -> file.stream().map(rows::get).toList()).toList(),
        "key",
        "value");
  }

  /** Queries of all sequences, shuffled. */
  void writeQueries(Path folder, Map<String, RandomSequence> sequences, Map<String, Range> ranges) {
    List<TokenRow> rows = new ArrayList<>();
    ranges.forEach(
        (id, range) -> {
          RandomSequence sequence = sequences.get(id);
          HeadLayout layout = sequence.layout();
          for (int row = range.from; row < range.to; row++) {
            float[] query = ofToken(sequence.query(), row, layout.numHeads(), layout.keyDim());
            rows.add(new TokenRow(id, row + range.shift, query, null, null));
          }
        });
    Collections.shuffle(rows, new Random(rows.size()));
    write(folder, List.of(rows), "query");
  }

  /**
   * Some queries of a sequence.
   *
   * @param shift of their positions against their rows
   */
  record Range(int from, int to, long shift) {}

  /** A file for each part. */
  private void write(Path folder, List<List<TokenRow>> parts, String... columns) {
    List<Column> selected = new ArrayList<>(List.of(col("id").as("sequence_id"), col("position")));
    Arrays.stream(columns).forEach(column -> selected.add(col(column)));
    for (List<TokenRow> part : parts) {
      spark
          .createDataset(part, Encoders.bean(TokenRow.class))
          .select(selected.toArray(Column[]::new))
          .coalesce(1)
          .write()
          .mode("append")
          // Small row groups, so that a file has several for tasks to begin at.
          .option("parquet.block.size", 1 << 16)
          .parquet(folder.toString());
    }
  }

  private static List<TokenRow> keyRows(String id, RandomSequence sequence) {
    HeadLayout layout = sequence.layout();
    List<TokenRow> rows = new ArrayList<>();
    for (int row = 0; row < sequence.keys(); row++) {
      float[] key = ofToken(sequence.key(), row, layout.numKeyValueHeads(), layout.keyDim());
      float[] value = ofToken(sequence.value(), row, layout.numKeyValueHeads(), layout.valueDim());
      rows.add(new TokenRow(id, row, null, key, value));
    }
    return rows;
  }

  /** The numbers of one token of [heads, tokens, dim]. */
  private static float[] ofToken(float[] byHead, int token, int heads, int dim) {
    int tokens = byHead.length / heads / dim;
    float[] row = new float[heads * dim];
    for (int head = 0; head < heads; head++) {
      System.arraycopy(byHead, (head * tokens + token) * dim, row, head * dim, dim);
    }
    return row;
  }

  /** What the queries of each sequence make of its keys, by id. */
  List<Attended> attend(Path keys, Path queries, Map<Key, String> options) {
    AttentionConfig config = AttentionConfig.resolve(options, spark.sparkContext().conf());
    ParquetInput in = ParquetInput.open(spark, keys.toString(), queries.toString(), config);
    CollectedOutput out = new CollectedOutput();
    attention.run(in, config, out);
    return out.sequences();
  }

  /** The part of a sequence's attention that some of its queries have. */
  static Attended part(RandomSequence sequence, Attended all, Range range) {
    HeadLayout layout = sequence.layout();
    int heads = layout.numHeads();
    return new Attended(
        rows(all.output(), heads, range, layout.valueDim()),
        rows(all.logSumExp(), heads, range, 1));
  }

  private static float[] rows(float[] byHead, int heads, Range range, int dim) {
    int tokens = byHead.length / heads / dim;
    int size = (range.to - range.from) * dim;
    float[] rows = new float[heads * size];
    for (int head = 0; head < heads; head++) {
      System.arraycopy(byHead, (head * tokens + range.from) * dim, rows, head * size, size);
    }
    return rows;
  }
}

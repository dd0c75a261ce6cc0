package io.sparkattention.driver;

import static org.apache.spark.sql.functions.col;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.ParquetInput;
import io.sparkattention.driver.io.ParquetOutput;
import io.sparkattention.driver.io.SafetensorsFile;
import io.sparkattention.driver.io.SafetensorsInput;
import io.sparkattention.driver.io.SafetensorsOutput;
import io.sparkattention.driver.io.SafetensorsWriter;
import io.sparkattention.driver.io.SafetensorsWriter.Declaration;
import io.sparkattention.kernels.HeadLayout;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;

/**
 * Attention from file to file, as the command line runs it: a path that ends in .safetensors is a
 * file of tensors, any other a Parquet dataset.
 */
final class AttentionFiles {
  static final String SAFETENSORS = ".safetensors";

  /**
   * Enough for a number; a run of the command line takes a hundred times as long for a good one.
   */
  private static final double PEAK_SECONDS = 0.01;

  private final SparkSession spark;
  private final Configuration hadoop = new Configuration();

  AttentionFiles(SparkSession spark) {
    this.spark = spark;
  }

  AttentionReport attend(Path from, Path to, Map<Key, String> options) {
    return attend(from, to, false, options);
  }

  AttentionReport attend(Path from, Path to, boolean overwrite, Map<Key, String> options) {
    return attend(from, to, overwrite, config(options));
  }

  AttentionConfig config(Map<Key, String> options) {
    return AttentionConfig.resolve(options, spark.sparkContext().conf());
  }

  AttentionReport attend(Path from, Path to, boolean overwrite, AttentionConfig config) {
    String out = to.toString();
    boolean tensorsOut = out.endsWith(SAFETENSORS);
    DistributedAttention attention = new DistributedAttention(spark, PEAK_SECONDS);
    if (from.toString().endsWith(SAFETENSORS)) {
      SafetensorsInput in = SafetensorsInput.open(spark, from.toString(), config);
      return attention.run(
          in,
          config,
          tensorsOut
              ? SafetensorsOutput.like(in, spark, out, overwrite)
              : new ParquetOutput(spark, out, overwrite, DataTypes.LongType));
    }
    ParquetInput in = ParquetInput.open(spark, from.toString(), config);
    return attention.run(
        in,
        config,
        tensorsOut
            ? SafetensorsOutput.ofTable(spark, out, overwrite)
            : new ParquetOutput(spark, out, overwrite, in.sequenceIdType()));
  }

  /** Writes sequences of one shape as the elements of a batch. */
  void writeTensors(Path file, DataType type, int rank, List<RandomSequence> batch) {
    RandomSequence first = batch.get(0);
    HeadLayout layout = first.layout();
    int queryHeads = layout.numHeads();
    int heads = layout.numKeyValueHeads();
    SafetensorsWriter writer =
        new SafetensorsWriter(
            List.of(
                tensor("query", type, rank, batch, queryHeads, first.queries(), layout.keyDim()),
                tensor("key", type, rank, batch, heads, first.keys(), layout.keyDim()),
                tensor("value", type, rank, batch, heads, first.keys(), layout.valueDim())));
    List<ByteBuffer> pieces = new ArrayList<>();
    for (SafetensorsFile.Tensor tensor : writer.tensors()) {
      for (RandomSequence sequence : batch) {
        float[] numbers =
            switch (tensor.name()) {
              case "query" -> byToken(rank, sequence.query(), queryHeads, layout.keyDim());
              case "key" -> byToken(rank, sequence.key(), heads, layout.keyDim());
              default -> byToken(rank, sequence.value(), heads, layout.valueDim());
            };
        ByteBuffer bytes = ByteBuffer.allocate(numbers.length * type.bytes());
        type.encode(numbers, 0, numbers.length, bytes);
        pieces.add(bytes.flip());
      }
    }
    writer.write(new org.apache.hadoop.fs.Path(file.toString()), hadoop, false, pieces.iterator());
  }

  private static Declaration tensor(
      String name,
      DataType type,
      int rank,
      List<RandomSequence> batch,
      long heads,
      long tokens,
      long dim) {
    long size = batch.size();
    return new Declaration(
        name,
        type,
        rank == 4 ? List.of(size, heads, tokens, dim) : List.of(size, tokens, heads * dim));
  }

  private static float[] byToken(int rank, float[] byHead, int heads, int dim) {
    return rank == 4 ? byHead : swapped(byHead, heads, byHead.length / heads / dim, dim);
  }

  /** [first, second, dim] to [second, first, dim]. */
  private static float[] swapped(float[] source, int first, int second, int dim) {
    float[] target = new float[source.length];
    for (int i = 0; i < first; i++) {
      for (int j = 0; j < second; j++) {
        System.arraycopy(source, (i * second + j) * dim, target, (j * first + i) * dim, dim);
      }
    }
    return target;
  }

  /**
   * Writes sequences as a table, the rows of all of them shuffled.
   *
   * @param idType type of the column {@code sequence_id}, to which the ids are cast
   * @param sequences sequences by id, each with as many queries as keys
   */
  void writeTable(Path folder, int files, String idType, Map<String, RandomSequence> sequences) {
    List<TokenRow> rows = new ArrayList<>();
    long seed = files;
    for (Map.Entry<String, RandomSequence> entry : sequences.entrySet()) {
      rows.addAll(rows(entry.getKey(), entry.getValue()));
      seed += entry.getValue().seed();
    }
    Collections.shuffle(rows, new Random(seed));
    spark
        .createDataset(rows, Encoders.bean(TokenRow.class))
        .select(
            col("id").cast(idType).as("sequence_id"),
            col("position"),
            col("query"),
            col("key"),
            col("value"))
        .repartition(files)
        .write()
        .parquet(folder.toString());
  }

  private static List<TokenRow> rows(String id, RandomSequence sequence) {
    HeadLayout layout = sequence.layout();
    List<TokenRow> rows = new ArrayList<>();
    for (int token = 0; token < sequence.keys(); token++) {
      rows.add(
          new TokenRow(
              id,
              token,
              ofToken(sequence.query(), token, layout.numHeads(), layout.keyDim()),
              ofToken(sequence.key(), token, layout.numKeyValueHeads(), layout.keyDim()),
              ofToken(sequence.value(), token, layout.numKeyValueHeads(), layout.valueDim())));
    }
    return rows;
  }

  private static float[] ofToken(float[] byHead, int token, int heads, int dim) {
    int tokens = byHead.length / heads / dim;
    float[] row = new float[heads * dim];
    for (int head = 0; head < heads; head++) {
      System.arraycopy(byHead, (head * tokens + token) * dim, row, head * dim, dim);
    }
    return row;
  }

  /** The output tensors, by sequence. */
  List<Attended> readTensors(Path path, HeadLayout layout) {
    SafetensorsFile file =
        SafetensorsFile.open(new org.apache.hadoop.fs.Path(path.toString()), hadoop);
    SafetensorsFile.Tensor logSumExp = file.tensor("log_sum_exp");
    int batch = (int) logSumExp.size(0);
    int queries = (int) logSumExp.size(2);
    float[] outputs = read(file, "output");
    float[] logSumExps = read(file, "log_sum_exp");
    List<Attended> result = new ArrayList<>();
    for (int b = 0; b < batch; b++) {
      float[] output = part(outputs, b, batch);
      boolean byToken = file.tensor("output").rank() == 3;
      result.add(
          new Attended(
              byToken ? swapped(output, queries, layout.numHeads(), layout.valueDim()) : output,
              part(logSumExps, b, batch)));
    }
    return result;
  }

  /** All elements of a tensor as float32. */
  float[] read(SafetensorsFile file, String name) {
    SafetensorsFile.Tensor tensor = file.tensor(name);
    float[] numbers = new float[(int) tensor.elements()];
    try (FSDataInputStream in = file.openStream(hadoop)) {
      file.read(in, tensor, 0, numbers, 0, numbers.length);
    } catch (java.io.IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
    return numbers;
  }

  private static float[] part(float[] all, int index, int parts) {
    int size = all.length / parts;
    return java.util.Arrays.copyOfRange(all, index * size, (index + 1) * size);
  }

  /** The output rows, by sequence in the order of their ids. */
  List<Attended> readTable(Path folder, HeadLayout layout) {
    List<Row> rows =
        spark.read().parquet(folder.toString()).orderBy("sequence_id", "position").collectAsList();
    List<Attended> result = new ArrayList<>();
    for (int start = 0; start < rows.size(); ) {
      int end = start + 1;
      while (end < rows.size() && rows.get(end).get(0).equals(rows.get(start).get(0))) {
        end++;
      }
      result.add(attended(rows.subList(start, end), layout));
      start = end;
    }
    return result;
  }

  private static Attended attended(List<Row> rows, HeadLayout layout) {
    int width = layout.numHeads() * layout.valueDim();
    float[] output = new float[rows.size() * width];
    float[] logSumExp = new float[rows.size() * layout.numHeads()];
    for (int position = 0; position < rows.size(); position++) {
      Row row = rows.get(position);
      if (row.getLong(1) != position) {
        throw new AssertionError("position " + row.getLong(1) + ", expected " + position);
      }
      copy(row.getList(2), output, position * width);
      copy(row.getList(3), logSumExp, position * layout.numHeads());
    }
    return new Attended(
        swapped(output, rows.size(), layout.numHeads(), layout.valueDim()),
        swapped(logSumExp, rows.size(), layout.numHeads(), 1));
  }

  private static void copy(List<Float> from, float[] to, int offset) {
    for (int i = 0; i < from.size(); i++) {
      to[offset + i] = from.get(i);
    }
  }
}

package io.sparkattention.driver.ml;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.spark.ml.linalg.Vector;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** A shuffled table of token rows with numbers from -1 to 1, and what attention makes of them. */
record TokenTable(int heads, int keyValueHeads, int headDim, List<Token> tokens) {
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Token(String sequence, long position, float[] query, float[] key, float[] value) {}

  /** Sequences "a", "b" and so on. */
  static TokenTable random(long seed, int heads, int keyValueHeads, int headDim, int... lengths) {
    Random random = new Random(seed);
    List<Token> tokens = new ArrayList<>();
    for (int s = 0; s < lengths.length; s++) {
      for (int position = 0; position < lengths[s]; position++) {
        tokens.add(
            new Token(
                Character.toString('a' + s),
                position,
                numbers(random, heads * headDim),
                numbers(random, keyValueHeads * headDim),
                numbers(random, keyValueHeads * headDim)));
      }
    }
    Collections.shuffle(tokens, random);
    return new TokenTable(heads, keyValueHeads, headDim, tokens);
  }

  private static float[] numbers(Random random, int count) {
    float[] numbers = new float[count];
    for (int i = 0; i < count; i++) {
      numbers[i] = 2 * random.nextFloat() - 1;
    }
    return numbers;
  }

  /** Columns sequence_id, position, word, query, key and value. */
  Dataset<Row> arrays(SparkSession spark) {
    StructType schema =
        new StructType()
            .add("sequence_id", DataTypes.StringType)
            .add("position", DataTypes.LongType)
            .add("word", DataTypes.StringType)
            .add("query", ColumnCheck.floats())
            .add("key", ColumnCheck.floats())
            .add("value", ColumnCheck.floats());
    List<Row> rows =
        tokens.stream()
            .map(
                t ->
                    RowFactory.create(
                        t.sequence, t.position, t.sequence + t.position, t.query, t.key, t.value))
            .toList();
    return spark.createDataFrame(rows, schema);
  }

  /** The same with vectors. */
  Dataset<Row> vectors(SparkSession spark) {
    Dataset<Row> rows = arrays(spark);
    for (String name : List.of("query", "key", "value")) {
      rows =
          rows.withColumn(name, org.apache.spark.ml.functions.array_to_vector(functions.col(name)));
    }
    return rows;
  }

  /** Causal attention of one token by the formula, in float64, [heads, headDim]. */
  double[] causal(Token token) {
    double[] output = new double[heads * headDim];
    for (int head = 0; head < heads; head++) {
      int at = head * headDim;
      int keyAt = head / (heads / keyValueHeads) * headDim;
      double sum = 0;
      for (Token other : tokens) {
        if (!other.sequence.equals(token.sequence) || other.position > token.position) {
          continue;
        }
        double score =
            IntStream.range(0, headDim)
                .mapToDouble(i -> (double) token.query[at + i] * other.key[keyAt + i])
                .sum();
        double weight = Math.exp(score / Math.sqrt(headDim));
        sum += weight;
        for (int i = 0; i < headDim; i++) {
          output[at + i] += weight * other.value[keyAt + i];
        }
      }
      for (int i = 0; i < headDim; i++) {
        output[at + i] /= sum;
      }
    }
    return output;
  }

  /**
   * A column of arrays of floats, or of vectors of such, in the order of sequences and positions.
   */
  static List<float[]> sorted(Dataset<Row> table, String column) {
    return table.select("sequence_id", "position", column).collectAsList().stream()
        .sorted(
            (a, b) -> {
              int ids = a.get(0).toString().compareTo(b.get(0).toString());
              return ids != 0
                  ? ids
                  : Long.compare(((Number) a.get(1)).longValue(), ((Number) b.get(1)).longValue());
            })
        .map(row -> floats(row.get(2)))
        .toList();
  }

  private static float[] floats(Object cell) {
    double[] doubles =
        cell instanceof Vector vector
            ? vector.toArray()
            : scala.jdk.javaapi.CollectionConverters.asJava((scala.collection.Seq<?>) cell).stream()
                .mapToDouble(number -> ((Number) number).doubleValue())
                .toArray();
    float[] floats = new float[doubles.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) doubles[i];
    }
    return floats;
  }
}

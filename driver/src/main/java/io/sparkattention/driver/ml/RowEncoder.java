package io.sparkattention.driver.ml;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.serializers.JavaSerializer;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.model.BertModel;
import io.sparkattention.driver.model.LocalEncoder;
import io.sparkattention.driver.model.Pooling;
import io.sparkattention.driver.model.TextTokenizer;
import java.io.Serializable;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.stream.StreamSupport;
import org.apache.spark.TaskContext;
import org.apache.spark.ml.linalg.Vectors;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.util.TaskCompletionListener;

/** A model as a broadcast takes it to the tasks, which encode a row at a time. */
public final class RowEncoder implements Serializable {
  private static final long serialVersionUID = 1L;

  /** UTF-16 units of a text that a message quotes. */
  private static final int QUOTED_UNITS = 40;

  private final BertModel model;
  private final byte[] tokenizer;
  private final Pooling pooling;
  private final boolean normalize;

  /**
   * Puts together what a task needs.
   *
   * @param tokenizer the content of tokenizer.json; null: rows hold token ids
   * @param pooling {@link Pooling#NONE}: an embedding for each token
   */
  RowEncoder(BertModel model, byte[] tokenizer, Pooling pooling, boolean normalize) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.pooling = pooling;
    this.normalize = normalize;
  }

  /** Names what travels to Kryo: the weights by Java serialization, once per executor. */
  public static void register(Kryo kryo) {
    kryo.register(RowEncoder.class, new JavaSerializer());
  }

  /**
   * The rows of a task, each with its embedding appended, as they are asked for.
   *
   * @param column index of the text, or of the token ids
   * @param name of that column, for messages
   */
  Iterator<Row> encode(Iterator<Row> rows, int column, String name) {
    LocalEncoder encoder = new LocalEncoder(model);
    TextTokenizer opened = tokenizer == null ? null : TextTokenizer.open(tokenizer, "of the model");
    if (opened != null) {
      TaskContext.get()
          .addTaskCompletionListener((TaskCompletionListener) context -> opened.close());
    }
    Iterable<Row> all = () -> rows;
    return StreamSupport.stream(all.spliterator(), false)
        .map(
            row -> {
              requirePresent(row, column, name);
              int[] ids =
                  opened == null
                      ? ids(row.getList(column), name)
                      : opened.tokenize(row.getString(column)).ids();
              requireFits(ids.length, row.get(column), name);
              Object[] values = new Object[row.size() + 1];
              for (int i = 0; i < row.size(); i++) {
                values[i] = row.get(i);
              }
              values[row.size()] = embedding(encoder.encode(ids), ids.length);
              return RowFactory.create(values);
            })
        .iterator();
  }

  private static void requirePresent(Row row, int column, String name) {
    if (row.isNullAt(column)) {
      throw new InvalidInputException(
          "Cannot encode column '%s': found null, expected a text or token ids in each row; remove such rows"
              .formatted(name));
    }
  }

  private static int[] ids(List<Integer> list, String name) {
    if (list.isEmpty() || list.contains(null)) {
      throw new InvalidInputException(
          "Cannot encode column '%s': found %s, expected at least one token id and no null; remove such rows"
              .formatted(name, list));
    }
    return list.stream().mapToInt(Integer::intValue).toArray();
  }

  private void requireFits(int tokens, Object found, String name) {
    if (tokens > model.config().positions()) {
      String text = found.toString();
      String quoted = text.substring(0, Math.min(QUOTED_UNITS, text.length()));
      throw new InvalidInputException(
          "Cannot encode a row of column '%s': found %d tokens ('%s…'), expected at most %d, the positions of the model; split the text into several rows"
              .formatted(name, tokens, quoted, model.config().positions()));
    }
  }

  /** A vector, or the tokens' arrays. */
  private Object embedding(float[] states, int tokens) {
    int hidden = model.config().hidden();
    if (pooling == Pooling.NONE) {
      float[][] each = new float[tokens][];
      for (int token = 0; token < tokens; token++) {
        each[token] = scaled(Arrays.copyOfRange(states, token * hidden, (token + 1) * hidden));
      }
      return each;
    }
    float[] pooled = scaled(pooling.pool(states, tokens, hidden));
    double[] numbers = new double[hidden];
    for (int i = 0; i < hidden; i++) {
      numbers[i] = pooled[i];
    }
    return Vectors.dense(numbers);
  }

  private float[] scaled(float[] vector) {
    return normalize ? Pooling.normalized(vector) : vector;
  }
}

package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsWriter;
import io.sparkattention.driver.io.SafetensorsWriter.Declaration;
import io.sparkattention.driver.io.StagedOutput;
import io.sparkattention.driver.model.DistributedEncoder.Document;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.HashPartitioner;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.storage.StorageLevel;
import scala.Tuple2;

/**
 * Where encoded documents go: a Parquet dataset with a row per token ({@code document}, {@code
 * position}, {@code token_id}, {@code token}, {@code embedding}) or, pooled, per document ({@code
 * document}, {@code tokens}, {@code embedding}); or, for the tokens of one document, a safetensors
 * file with {@code token_ids} [tokens] I64 and {@code last_hidden_state} [tokens, hidden] F32. It
 * appears whole or not at all, and only with as many tokens as went in.
 */
public final class EncodedOutput {
  private final SparkSession spark;
  private final String path;
  private final boolean overwrite;
  private final Pooling pooling;
  private final boolean normalize;

  /**
   * @param normalize divides each embedding by its Euclidean length
   */
  public EncodedOutput(
      SparkSession spark, String path, boolean overwrite, Pooling pooling, boolean normalize) {
    this.spark = spark;
    this.path = path;
    this.overwrite = overwrite;
    this.pooling = pooling;
    this.normalize = normalize;
  }

  private boolean isTensors() {
    return path.endsWith(".safetensors");
  }

  private Configuration hadoop() {
    return spark.sparkContext().hadoopConfiguration();
  }

  /**
   * Refuses, before a job starts, what cannot be written.
   *
   * @param documents how many there are
   */
  public void check(int documents) {
    if (!isTensors()) {
      try {
        stage().close();
      } catch (IOException e) {
        throw cannotWrite(e);
      }
      return;
    }
    if (documents != 1 || pooling != Pooling.NONE) {
      throw new InvalidInputException(
          "Cannot write '%s': found %,d documents with --pooling %s, expected one with --pooling none in a safetensors file; name a Parquet dataset"
              .formatted(path, documents, pooling.name().toLowerCase(Locale.ROOT)));
    }
    SafetensorsWriter.requireWritable(new Path(path), hadoop(), overwrite);
  }

  /**
   * Writes the pieces.
   *
   * @param vocabulary tokens by id
   */
  public void write(JavaRDD<EncodedPiece> pieces, List<Document> documents, String[] vocabulary) {
    if (isTensors()) {
      writeTensors(pieces, documents.get(0));
      return;
    }
    long tokens = documents.stream().mapToLong(document -> document.ids().length).sum();
    String[] names = documents.stream().map(Document::name).toArray(String[]::new);
    boolean pooled = pooling != Pooling.NONE;
    Dataset<Row> rows = pooled ? pooledRows(pieces, names) : tokenRows(pieces, names, vocabulary);
    try (StagedOutput staged = stage()) {
      rows.write().parquet(staged.path());
      Dataset<Row> written = spark.read().parquet(staged.path());
      long found =
          pooled ? written.agg(functions.sum("tokens")).first().getLong(0) : written.count();
      if (found != tokens) {
        throw new IllegalStateException(
            "Cannot write '%s': found %,d encoded tokens, expected %,d"
                .formatted(path, found, tokens));
      }
      staged.commit();
    } catch (IOException e) {
      throw cannotWrite(e);
    }
  }

  private StagedOutput stage() throws IOException {
    return new StagedOutput(path, overwrite, hadoop());
  }

  private UncheckedIOException cannotWrite(IOException e) {
    return new UncheckedIOException("Cannot write '%s': %s".formatted(path, e.getMessage()), e);
  }

  private Dataset<Row> tokenRows(
      JavaRDD<EncodedPiece> pieces, String[] names, String[] vocabulary) {
    StructType schema =
        new StructType()
            .add("document", DataTypes.StringType, false)
            .add("position", DataTypes.LongType, false)
            .add("token_id", DataTypes.IntegerType, false)
            .add("token", DataTypes.StringType, false)
            .add("embedding", DataTypes.createArrayType(DataTypes.FloatType, false), false);
    boolean unit = normalize;
    return spark.createDataFrame(
        pieces.flatMap(
            piece ->
                IntStream.range(0, piece.ids().length)
                    .mapToObj(
                        row ->
                            RowFactory.create(
                                names[piece.document()],
                                piece.first() + row,
                                piece.ids()[row],
                                vocabulary[piece.ids()[row]],
                                embedding(piece, row, unit)))
                    .iterator()),
        schema);
  }

  private static float[] embedding(EncodedPiece piece, int row, boolean unit) {
    int hidden = piece.hidden();
    float[] embedding = new float[hidden];
    System.arraycopy(piece.states(), row * hidden, embedding, 0, hidden);
    if (unit) {
      Pooling.normalize(embedding, 0, hidden);
    }
    return embedding;
  }

  /** Partial sums meet in the order of their pieces: the same bits whatever task made them. */
  private Dataset<Row> pooledRows(JavaRDD<EncodedPiece> pieces, String[] names) {
    StructType schema =
        new StructType()
            .add("document", DataTypes.StringType, false)
            .add("tokens", DataTypes.LongType, false)
            .add("embedding", DataTypes.createArrayType(DataTypes.FloatType, false), false);
    Pooling how = pooling;
    boolean unit = normalize;
    JavaRDD<Row> rows =
        pieces
            .mapToPair(
                piece ->
                    new Tuple2<>(
                        piece.document(),
                        new Tuple2<>(
                            new long[] {piece.ordinal(), piece.ids().length}, how.partial(piece))))
            .groupByKey()
            .map(document -> pooledRow(names[document._1()], document._2(), how, unit));
    return spark.createDataFrame(rows, schema);
  }

  /**
   * @param pieces each one's ordinal and tokens, and what it gives to the embedding
   */
  private static Row pooledRow(
      String name, Iterable<Tuple2<long[], double[]>> pieces, Pooling how, boolean unit) {
    List<Tuple2<long[], double[]>> ordered =
        StreamSupport.stream(pieces.spliterator(), false)
            .sorted(Comparator.comparingLong(piece -> piece._1()[0]))
            .toList();
    long tokens = ordered.stream().mapToLong(piece -> piece._1()[1]).sum();
    float[] embedding = how.embedding(ordered.stream().map(Tuple2::_2).toList(), tokens);
    if (unit) {
      Pooling.normalize(embedding, 0, embedding.length);
    }
    return RowFactory.create(name, tokens, embedding);
  }

  /** One piece after the other passes through Spark's driver. */
  private void writeTensors(JavaRDD<EncodedPiece> pieces, Document document) {
    pieces.persist(StorageLevel.MEMORY_AND_DISK());
    try {
      int count = Math.toIntExact(pieces.count());
      int hidden = pieces.first().hidden();
      Iterator<EncodedPiece> ordered =
          pieces
              .mapToPair(piece -> new Tuple2<>(piece.ordinal(), piece))
              .partitionBy(new HashPartitioner(count))
              .values()
              .toLocalIterator();
      writeTensors(ordered, document, hidden);
    } finally {
      pieces.unpersist(false);
    }
  }

  private void writeTensors(Iterator<EncodedPiece> ordered, Document document, int hidden) {
    long tokens = document.ids().length;
    SafetensorsWriter writer =
        new SafetensorsWriter(
            List.of(
                new Declaration("token_ids", DataType.I64, List.of(tokens)),
                new Declaration(
                    "last_hidden_state", DataType.F32, List.of(tokens, (long) hidden))));
    boolean unit = normalize;
    Iterable<EncodedPiece> pieces = () -> ordered;
    Stream<ByteBuffer> states =
        StreamSupport.stream(pieces.spliterator(), false).map(piece -> bytes(piece, unit));
    // Elements of eight bytes come first in the file.
    Stream<ByteBuffer> all = Stream.concat(Stream.of(ids(document)), states);
    writer.write(new Path(path), hadoop(), overwrite, all.iterator());
  }

  private static ByteBuffer ids(Document document) {
    int[] ids = document.ids();
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.multiplyExact(ids.length, Long.BYTES))
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int id : ids) {
      bytes.putLong(id);
    }
    return bytes.flip();
  }

  private static ByteBuffer bytes(EncodedPiece piece, boolean unit) {
    float[] states = piece.states().clone();
    if (unit) {
      for (int row = 0; row < piece.ids().length; row++) {
        Pooling.normalize(states, row * piece.hidden(), piece.hidden());
      }
    }
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.multiplyExact(states.length, Float.BYTES))
            .order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(states);
    return bytes;
  }
}

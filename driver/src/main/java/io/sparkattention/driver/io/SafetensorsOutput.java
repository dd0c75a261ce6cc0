package io.sparkattention.driver.io;

import io.sparkattention.driver.AttentionOutput;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.exchange.ScoreBlock;
import io.sparkattention.driver.io.SafetensorsWriter.Declaration;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.Partitioner;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import scala.Tuple2;

/**
 * One safetensors file with {@code output}, of the rank and element type of the queries, {@code
 * log_sum_exp} [batch, heads, queries] F32, {@code present_key} and {@code present_value} where the
 * input has a past, and {@code qk_matmul_output} where the plan has scores to write. Executors cut
 * what they have into pieces that know their offset in the file; sorted by it they pass through
 * Spark's driver, some megabytes at a time.
 */
public final class SafetensorsOutput implements AttentionOutput {
  /** Bytes of the file that are on Spark's driver at once. */
  private static final long PARTITION_BYTES = 32L << 20;

  private final JavaSparkContext context;
  private final Path path;
  private final boolean overwrite;
  private final DataType dataType;
  private final int rank;

  /** Whose past goes to the output; null where rows come from a table. */
  private final SafetensorsInput input;

  private SafetensorsOutput(
      SparkSession spark, String path, boolean overwrite, SafetensorsInput input) {
    this.context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    this.path = new Path(path);
    this.overwrite = overwrite;
    this.dataType = input == null ? DataType.F32 : input.dataType();
    this.rank = input == null ? 3 : input.rank();
    this.input = input;
  }

  /** An output of the rank and element type of the input's queries, with its present tensors. */
  public static SafetensorsOutput like(
      SafetensorsInput input, SparkSession spark, String path, boolean overwrite) {
    return new SafetensorsOutput(spark, path, overwrite, input);
  }

  /**
   * An output F32 of rank 3: the rows of a table hold all heads of a token, as those tensors do.
   */
  public static SafetensorsOutput ofTable(SparkSession spark, String path, boolean overwrite) {
    return new SafetensorsOutput(spark, path, overwrite, null);
  }

  @Override
  public void check(AttentionPlan plan) {
    SafetensorsWriter.requireWritable(path, context.hadoopConfiguration(), overwrite);
    SequenceShape first = plan.sequences().get(0);
    for (SequenceShape sequence : plan.sequences()) {
      if (sequence.queries() != first.queries()) {
        throw new InvalidInputException(
            ("Cannot write '%s': sequence '%s' has %d queries and '%s' has %d, but a tensor needs"
                    + " sequences of one length; write a Parquet dataset")
                .formatted(path, first.id(), first.queries(), sequence.id(), sequence.queries()));
      }
    }
    scoreTensor(plan).ifPresent(ScoreTensor::check);
  }

  /** Where the plan has scores to write. */
  private Optional<ScoreTensor> scoreTensor(AttentionPlan plan) {
    long keys = input == null ? plan.sequences().get(0).keys() : input.keyTokens();
    return plan.scoresOutput().map(stage -> new ScoreTensor(plan, keys, dataType));
  }

  @Override
  public void write(
      AttentionPlan plan, JavaRDD<AttentionRows> rows, Optional<JavaRDD<ScoreBlock>> scores) {
    Configuration conf = context.hadoopConfiguration();
    Geometry geometry = new Geometry(plan, rank, dataType);
    List<Declaration> declarations = new ArrayList<>(geometry.declarations());
    List<PresentTensor> presents = input == null ? List.of() : input.presents();
    presents.forEach(present -> declarations.add(present.declaration()));
    Optional<ScoreTensor> scoreTensor = scoreTensor(plan);
    scoreTensor.ifPresent(tensor -> declarations.add(tensor.declaration()));
    SafetensorsWriter writer = new SafetensorsWriter(declarations);
    Map<String, Long> begins =
        writer.tensors().stream()
            .collect(Collectors.toMap(SafetensorsFile.Tensor::name, SafetensorsFile.Tensor::begin));
    geometry.place(begins);
    JavaPairRDD<Long, byte[]> pieces = rows.flatMapToPair(geometry::pieces);
    if (!presents.isEmpty()) {
      pieces = pieces.union(input.presentPieces(plan, begins));
    }
    if (scoreTensor.isPresent()) {
      long begin = begins.get(ScoreTensor.TENSOR);
      pieces =
          pieces
              .union(scorePieces(scoreTensor.get(), scores.orElseThrow(), begin))
              .union(paddingPieces(scoreTensor.get(), rows, begin));
    }
    int partitions = Math.toIntExact(writer.fileBytes() / PARTITION_BYTES + 1);
    Iterator<Tuple2<Long, byte[]>> sorted =
        pieces
            .repartitionAndSortWithinPartitions(new OffsetPartitioner(partitions))
            .toLocalIterator();
    writer.write(path, conf, overwrite, inOrder(writer, sorted));
  }

  private static JavaPairRDD<Long, byte[]> scorePieces(
      ScoreTensor tensor, JavaRDD<ScoreBlock> scores, long begin) {
    return scores.flatMapToPair(block -> tensor.pieces(block, begin).iterator());
  }

  private static JavaPairRDD<Long, byte[]> paddingPieces(
      ScoreTensor tensor, JavaRDD<AttentionRows> rows, long begin) {
    return rows.flatMapToPair(block -> tensor.padding(block.block(), begin).iterator());
  }

  /** The pieces' bytes; each starts where the one before it ended. */
  private static Iterator<ByteBuffer> inOrder(
      SafetensorsWriter writer, Iterator<Tuple2<Long, byte[]>> pieces) {
    return new Iterator<>() {
      private long next = writer.header().length;

      @Override
      public boolean hasNext() {
        return pieces.hasNext();
      }

      @Override
      public ByteBuffer next() {
        Tuple2<Long, byte[]> piece = pieces.next();
        if (piece._1() != next) {
          throw new IllegalStateException(
              "Cannot write the output: a piece starts at byte %d, expected %d"
                  .formatted(piece._1(), next));
        }
        next += piece._2().length;
        return ByteBuffer.wrap(piece._2());
      }
    };
  }

  /** Where each row of the result lies in the file. */
  private static final class Geometry implements Serializable {
    private static final long serialVersionUID = 1L;

    private final long batch;
    private final long queries;
    private final long[] firstQuery;
    private final int heads;
    private final int valueDim;
    private final int rank;
    private final DataType dataType;
    private long outputBegin;
    private long logSumExpBegin;

    Geometry(AttentionPlan plan, int rank, DataType dataType) {
      HeadLayout layout = plan.layout();
      this.batch = plan.sequences().size();
      this.queries = plan.sequences().get(0).queries();
      this.firstQuery = plan.sequences().stream().mapToLong(SequenceShape::firstQuery).toArray();
      this.heads = layout.numHeads();
      this.valueDim = layout.valueDim();
      this.rank = rank;
      this.dataType = dataType;
    }

    List<Declaration> declarations() {
      List<Long> outputShape =
          rank == 4
              ? List.of(batch, (long) heads, queries, (long) valueDim)
              : List.of(batch, queries, (long) heads * valueDim);
      List<Long> logSumExpShape = List.of(batch, (long) heads, queries);
      return List.of(
          new Declaration("output", dataType, outputShape),
          new Declaration("log_sum_exp", DataType.F32, logSumExpShape));
    }

    /**
     * @param begins where each tensor starts in the file
     */
    void place(Map<String, Long> begins) {
      outputBegin = begins.get("output");
      logSumExpBegin = begins.get("log_sum_exp");
    }

    Iterator<Tuple2<Long, byte[]>> pieces(AttentionRows rows) {
      Block block = rows.block();
      long row = block.start() - firstQuery[block.sequence()];
      int tokens = block.tokens();
      List<Tuple2<Long, byte[]>> pieces = new ArrayList<>();
      if (rank == 3) {
        long element = (block.sequence() * queries + row) * heads * valueDim;
        pieces.add(piece(outputBegin, element, dataType, rows.output()));
      }
      for (int head = 0; head < heads; head++) {
        long headRow = ((long) block.sequence() * heads + head) * queries + row;
        if (rank == 4) {
          float[] output = ofHead(rows.output(), head, tokens, valueDim);
          pieces.add(piece(outputBegin, headRow * valueDim, dataType, output));
        }
        float[] logSumExp = ofHead(rows.logSumExp(), head, tokens, 1);
        pieces.add(piece(logSumExpBegin, headRow, DataType.F32, logSumExp));
      }
      return pieces.iterator();
    }

    /** [tokens, heads, dim] to the [tokens, dim] of one head. */
    private float[] ofHead(float[] source, int head, int tokens, int dim) {
      float[] target = new float[tokens * dim];
      for (int row = 0; row < tokens; row++) {
        System.arraycopy(source, (row * heads + head) * dim, target, row * dim, dim);
      }
      return target;
    }

    private static Tuple2<Long, byte[]> piece(
        long begin, long element, DataType type, float[] values) {
      byte[] bytes = new byte[Math.multiplyExact(values.length, type.bytes())];
      type.encode(values, 0, values.length, ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN));
      return new Tuple2<>(begin + element * type.bytes(), bytes);
    }
  }

  /** Equal stretches of the file, in order. */
  private static final class OffsetPartitioner extends Partitioner {
    private static final long serialVersionUID = 1L;

    private final int partitions;

    OffsetPartitioner(int partitions) {
      this.partitions = partitions;
    }

    @Override
    public int numPartitions() {
      return partitions;
    }

    @Override
    public int getPartition(Object offset) {
      return (int) ((Long) offset / PARTITION_BYTES);
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof OffsetPartitioner o && o.partitions == partitions;
    }

    @Override
    public int hashCode() {
      return partitions;
    }
  }
}

package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.exchange.PairMask;
import io.sparkattention.kernels.HeadSlice;
import io.sparkattention.kernels.ScoreBias;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.Block;
import java.util.Arrays;
import java.util.List;
import org.apache.hadoop.fs.FSDataInputStream;

/**
 * The tensor {@code attn_mask}, which numpy could broadcast to [batch, heads, queries, keys]: BOOL,
 * whose true means that the query sees the key, or numbers that are added to the scores. Keys
 * beyond its last axis are masked. A task reads the stretch of its pair of blocks.
 */
final class MaskTensor implements PairMask {
  private static final long serialVersionUID = 1L;

  static final String TENSOR = "attn_mask";

  /** A finite number below stands for −∞: people write −1e9 or the least of a type for it. */
  private static final float LEAST = -0x1p20f;

  private static final List<String> AXES = List.of("sequences", "heads", "queries", "keys");

  private final BlockReader reader;
  private final SafetensorsFile.Tensor tensor;

  /** Sizes of the axes batch, heads, queries and keys; 1 where all share what there is. */
  private final long[] sizes = {1, 1, 1, 1};

  /**
   * Looks at the shape.
   *
   * @param expected [batch, heads, queries, keys]
   * @throws InvalidInputException if the tensor cannot be broadcast to it
   */
  MaskTensor(SafetensorsFile file, BlockReader reader, long... expected) {
    this.reader = reader;
    this.tensor = file.tensor(TENSOR);
    if (tensor.type() != DataType.BOOL && !tensor.type().isFloat()) {
      throw invalid(file, "type " + tensor.type(), "BOOL, F32, F16, BF16 or F64; convert it");
    }
    int missing = sizes.length - tensor.rank();
    if (missing < 0 || missing > 2) {
      throw invalid(
          file,
          "shape " + tensor.shape(),
          "2 to 4 axes of [batch, heads, queries, keys]; reshape it");
    }
    for (int axis = missing; axis < sizes.length; axis++) {
      sizes[axis] = tensor.size(axis - missing);
      boolean isKeys = axis == 3;
      // One key of several is either the first or, broadcast, every one: the two readings differ.
      boolean fits =
          isKeys
              ? sizes[axis] <= expected[axis] && (sizes[axis] > 1 || expected[axis] == 1)
              : sizes[axis] == 1 || sizes[axis] == expected[axis];
      if (!fits) {
        String all = Long.toString(expected[axis]);
        throw invalid(
            file,
            "shape %s, %d %s".formatted(tensor.shape(), sizes[axis], AXES.get(axis)),
            isKeys
                ? (expected[axis] > 1 ? "2 to " : "") + all + " of them; expand or cut it"
                : (expected[axis] > 1 ? "1 or " : "") + all + " of them; correct its shape");
      }
    }
  }

  private static InvalidInputException invalid(
      SafetensorsFile file, String found, String expected) {
    return new InvalidInputException(
        "Invalid tensor '%s' in '%s': found %s, expected %s"
            .formatted(TENSOR, file.name(), found, expected));
  }

  @Override
  public double pairBytes(int blockTokens, HeadSlice slice) {
    double rows = Math.min(blockTokens, sizes[2]);
    int heads = heads(slice);
    double bits = heads * (double) blockTokens * Math.min(blockTokens, sizes[3]) / Byte.SIZE;
    double bytes = rows * Math.min(blockTokens, sizes[3]) * heads * Float.BYTES;
    return tensor.type() == DataType.BOOL ? bits : bits + bytes;
  }

  @Override
  public Pair read(Block queries, Block keys, HeadSlice slice) {
    int wordsPerRow = AttentionMask.wordsPerRow(keys);
    int heads = heads(slice);
    int planeWords = Math.multiplyExact(queries.tokens(), wordsPerRow);
    long[] words = new long[Math.multiplyExact(heads, planeWords)];
    int count = (int) (Math.min(keys.end(), sizes[3]) - keys.start());
    if (count <= 0) {
      return new Pair(words, heads, queries.tokens(), null);
    }
    float[][] biases = new float[heads][];
    boolean biased = false;
    for (int head = 0; head < heads; head++) {
      Plane plane =
          plane(queries, keys.start(), count, sizes[1] == 1 ? 0 : slice.firstHead() + head);
      plane.show(words, head * planeWords, wordsPerRow, queries.tokens());
      biases[head] = plane.biased() ? plane.numbers : null;
      biased |= plane.biased();
    }
    int rows = sizes[2] == 1 ? 1 : queries.tokens();
    ScoreBias bias = biased ? new TensorBias(biases, rows, count) : null;
    return new Pair(words, heads, queries.tokens(), bias);
  }

  /** Those that have numbers of their own; 1 where all share them. */
  private int heads(HeadSlice slice) {
    return sizes[1] == 1 ? 1 : slice.layout().numHeads();
  }

  /** Reads and checks the numbers of one head, counted in all heads; 0 where all share them. */
  private Plane plane(Block queries, long firstKey, int count, int head) {
    long firstRow = sizes[2] == 1 ? 0 : queries.start();
    int rows = sizes[2] == 1 ? 1 : queries.tokens();
    long batch = sizes[0] == 1 ? 0 : queries.sequence();
    long first = ((batch * sizes[1] + head) * sizes[2] + firstRow) * sizes[3] + firstKey;
    float[] numbers = new float[Math.multiplyExact(rows, count)];
    reader.read(in -> readRows(in, first, rows, count, numbers));
    Plane plane = new Plane(numbers, count);
    int wrong = plane.firstWrong();
    if (wrong >= 0) {
      throw new InvalidInputException(
          "Invalid %s in sequence '%d', head %d, position %d, key %d: found %s, expected a number or -Infinity; correct the input"
              .formatted(
                  TENSOR,
                  queries.sequence(),
                  head,
                  queries.start() + wrong / count,
                  firstKey + wrong % count,
                  numbers[wrong]));
    }
    return plane;
  }

  /** Numbers that are added to the scores: of BOOL 0 and −∞. */
  private void readRows(FSDataInputStream in, long first, int rows, int count, float[] numbers) {
    // Rows that follow each other are one.
    boolean whole = count == sizes[3];
    int width = whole ? numbers.length : count;
    byte[] seen = tensor.type() == DataType.BOOL ? new byte[width] : null;
    for (int row = 0; row < (whole ? 1 : rows); row++) {
      int target = row * count;
      long element = first + row * sizes[3];
      if (seen == null) {
        reader.file().read(in, tensor, element, numbers, target, width);
        continue;
      }
      reader.file().readBytes(in, tensor, element, seen, 0, width);
      for (int i = 0; i < width; i++) {
        numbers[target + i] = seen[i] == 0 ? Float.NEGATIVE_INFINITY : 0;
      }
    }
  }

  /** The numbers of one head for a pair of blocks, [rows, count]; one row may serve all queries. */
  private static final class Plane {
    private final float[] numbers;
    private final int count;

    Plane(float[] numbers, int count) {
      this.numbers = numbers;
      this.count = count;
    }

    /** Index of the first number that no mask may have, or −1. */
    int firstWrong() {
      for (int i = 0; i < numbers.length; i++) {
        if (!(numbers[i] <= Float.MAX_VALUE)) {
          return i;
        }
      }
      return -1;
    }

    /** Whether a key that is seen gets another score. */
    boolean biased() {
      for (float number : numbers) {
        if (number >= LEAST && number != 0) {
          return true;
        }
      }
      return false;
    }

    /** Sets the bits of the keys that the queries see. */
    void show(long[] words, int offset, int wordsPerRow, int queries) {
      int rows = numbers.length / count;
      for (int row = 0; row < rows; row++) {
        int word = offset + row * wordsPerRow;
        for (int first = 0; first < count; first += Long.SIZE) {
          words[word++] = bits(row * count + first, Math.min(Long.SIZE, count - first));
        }
      }
      for (int row = rows; row < queries; row++) {
        System.arraycopy(words, offset, words, offset + row * wordsPerRow, wordsPerRow);
      }
    }

    /** Which of up to 64 keys are seen. */
    private long bits(int first, int keys) {
      long bits = 0;
      for (int key = 0; key < keys; key++) {
        bits |= numbers[first + key] >= LEAST ? 1L << key : 0;
      }
      return bits;
    }
  }

  /**
   * The numbers of all heads as a bias.
   *
   * @param planes for each head or for all, [rows, count]; null where all are 0 or −∞
   * @param rows 1 where all queries share them
   */
  @SuppressWarnings("ArrayRecordComponent")
  private record TensorBias(float[][] planes, int rows, int count) implements ScoreBias {
    @Override
    public void row(int head, int row, int key, int keys, float[] target) {
      float[] plane = planes[planes.length == 1 ? 0 : head];
      int known = plane == null ? 0 : Math.max(0, Math.min(keys, count - key));
      if (known > 0) {
        System.arraycopy(plane, (rows == 1 ? 0 : row) * count + key, target, 0, known);
      }
      // The bits mask what lies beyond.
      Arrays.fill(target, known, keys, 0);
    }
  }
}

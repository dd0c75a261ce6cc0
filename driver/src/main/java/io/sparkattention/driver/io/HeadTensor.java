package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.util.OptionalInt;
import org.apache.hadoop.fs.FSDataInputStream;

/**
 * A tensor of queries, keys or values in one of its two forms: [batch, heads, tokens, headDim], or
 * [batch, tokens, heads · headDim].
 *
 * @param rank 4 or 3
 */
record HeadTensor(
    SafetensorsFile.Tensor tensor, int rank, int batch, int heads, long tokens, int headDim)
    implements Serializable {

  /** Numbers in memory at a time: 2 MiB as float32, 1 MiB of a file of 16-bit numbers. */
  private static final int READ_FLOATS = 1 << 19;

  /** Receives the numbers of one head and row. */
  @FunctionalInterface
  interface RowConsumer {
    void put(int head, int row, float[] source, int offset);
  }

  /**
   * Looks at the shape of a tensor.
   *
   * @param heads number of heads, needed for rank 3
   * @param option the option that gives it, for messages
   */
  static HeadTensor of(SafetensorsFile file, String name, OptionalInt heads, String option) {
    SafetensorsFile.Tensor tensor = file.tensor(name);
    if (!tensor.type().isFloat()) {
      throw invalid(file, tensor, "type " + tensor.type(), "F32, F16, BF16 or F64; convert it");
    }
    if (tensor.shape().contains(0L)) {
      throw invalid(file, tensor, "shape " + tensor.shape(), "at least 1 on each axis");
    }
    if (tensor.rank() == 4) {
      return fourAxes(file, tensor, heads, option);
    }
    if (tensor.rank() != 3) {
      throw invalid(
          file,
          tensor,
          "shape " + tensor.shape(),
          "[batch, heads, tokens, headDim] or [batch, tokens, heads·headDim]");
    }
    int count =
        heads.orElseThrow(
            () ->
                new InvalidInputException(
                    "Missing %s: tensor '%s' in '%s' has shape %s, which does not tell the number of heads; give %s N"
                        .formatted(option, name, file.name(), tensor.shape(), option)));
    long width = tensor.size(2);
    if (width % count != 0) {
      throw invalid(
          file, tensor, "rows of " + width + " numbers", "a multiple of " + option + " " + count);
    }
    int batch = Math.toIntExact(tensor.size(0));
    return new HeadTensor(tensor, 3, batch, count, tensor.size(1), Math.toIntExact(width / count));
  }

  /**
   * The past of a tensor: of its type, rank 4 whatever its own rank, and as many tokens as there
   * are, also none.
   */
  static HeadTensor pastOf(SafetensorsFile file, String name, HeadTensor current) {
    SafetensorsFile.Tensor tensor = file.tensor(name);
    if (tensor.type() != current.tensor.type()) {
      String expected = current.tensor.type() + " as of '" + current.tensor.name() + "'";
      throw invalid(file, tensor, "type " + tensor.type(), expected + "; convert it");
    }
    if (tensor.rank() != 4
        || tensor.size(0) != current.batch
        || tensor.size(1) != current.heads
        || tensor.size(3) != current.headDim) {
      String expected =
          "[%d, %d, past, %d] as of '%s'; correct their shapes"
              .formatted(current.batch, current.heads, current.headDim, current.tensor.name());
      throw invalid(file, tensor, "shape " + tensor.shape(), expected);
    }
    return fourAxes(file, tensor, OptionalInt.empty(), "");
  }

  private static HeadTensor fourAxes(
      SafetensorsFile file, SafetensorsFile.Tensor tensor, OptionalInt heads, String option) {
    if (heads.isPresent() && heads.getAsInt() != tensor.size(1)) {
      throw invalid(
          file, tensor, tensor.size(1) + " heads", heads.getAsInt() + " as " + option + " says");
    }
    return new HeadTensor(
        tensor,
        4,
        Math.toIntExact(tensor.size(0)),
        Math.toIntExact(tensor.size(1)),
        tensor.size(2),
        Math.toIntExact(tensor.size(3)));
  }

  private static InvalidInputException invalid(
      SafetensorsFile file, SafetensorsFile.Tensor tensor, String found, String expected) {
    return new InvalidInputException(
        "Invalid tensor '%s' in '%s': found %s, expected %s"
            .formatted(tensor.name(), file.name(), found, expected));
  }

  /** Index of the first of a block's rows; a row is a head's numbers, or of rank 3 all heads'. */
  private long firstRow(Block block, int head) {
    return rank == 4
        ? ((long) block.sequence() * heads + head) * tokens + block.start()
        : block.sequence() * tokens + block.start();
  }

  /**
   * Reads the rows of a block, some at a time, so that a block of 16-bit numbers is never in memory
   * as float32; its sequence is the index in the batch.
   */
  void read(SafetensorsFile file, FSDataInputStream in, Block block, RowConsumer rows) {
    int headsAtOnce = rank == 4 ? 1 : heads;
    int width = Math.multiplyExact(headsAtOnce, headDim);
    int rowsAtOnce = Math.min(block.tokens(), Math.max(1, READ_FLOATS / width));
    float[] buffer = new float[rowsAtOnce * width];
    for (int head = 0; head < heads; head += headsAtOnce) {
      long firstRow = firstRow(block, head);
      for (int start = 0; start < block.tokens(); start += rowsAtOnce) {
        int count = Math.min(rowsAtOnce, block.tokens() - start);
        file.read(in, tensor, (firstRow + start) * width, buffer, 0, count * width);
        for (int row = 0; row < count; row++) {
          for (int h = 0; h < headsAtOnce; h++) {
            rows.put(head + h, start + row, buffer, (row * headsAtOnce + h) * headDim);
          }
        }
      }
    }
  }

  /**
   * Reads the rows of a block as they lie in the file.
   *
   * @return [heads][tokens · headDim · bytes of an element]
   */
  byte[][] bytes(SafetensorsFile file, FSDataInputStream in, Block block) {
    int headBytes = headDim * tensor.type().bytes();
    byte[][] byHead = new byte[heads][Math.multiplyExact(block.tokens(), headBytes)];
    if (rank == 4) {
      for (int head = 0; head < heads; head++) {
        long first = firstRow(block, head) * headDim;
        file.readBytes(in, tensor, first, byHead[head], 0, block.tokens() * headDim);
      }
      return byHead;
    }
    byte[] row = new byte[heads * headBytes];
    for (int token = 0; token < block.tokens(); token++) {
      long first = (firstRow(block, 0) + token) * heads * headDim;
      file.readBytes(in, tensor, first, row, 0, heads * headDim);
      for (int head = 0; head < heads; head++) {
        System.arraycopy(row, head * headBytes, byHead[head], token * headBytes, headBytes);
      }
    }
    return byHead;
  }
}

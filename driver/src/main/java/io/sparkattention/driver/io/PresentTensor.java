package io.sparkattention.driver.io;

import io.sparkattention.driver.io.SafetensorsWriter.Declaration;
import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.fs.FSDataInputStream;
import scala.Tuple2;

/**
 * The keys or values of all positions: those of a past, where the file has one, before the file's
 * own along the tokens. What ONNX calls {@code present_key} and {@code present_value}, never copied
 * together in memory.
 *
 * @param parts the past if there is one, then the file's own; equal in all but rank and tokens
 */
record PresentTensor(List<HeadTensor> parts) implements Serializable {

  /** Reads the shape of the past, where the file has it. */
  static PresentTensor of(SafetensorsFile file, HeadTensor own) {
    String past = "past_" + own.tensor().name();
    return new PresentTensor(
        file.has(past) ? List.of(HeadTensor.pastOf(file, past, own), own) : List.of(own));
  }

  /** The file's own keys or values, without the past. */
  HeadTensor own() {
    return parts.get(parts.size() - 1);
  }

  boolean hasPast() {
    return parts.size() > 1;
  }

  /** Tokens of the past, 0 also where there is none. */
  long pastTokens() {
    return tokens() - own().tokens();
  }

  /** Tokens of the past and the file's own. */
  long tokens() {
    return parts.stream().mapToLong(HeadTensor::tokens).sum();
  }

  /** The stretch of a block that lies in one part, in the part's own positions. */
  private record Stretch(HeadTensor part, Block rows, int firstRow) {}

  private List<Stretch> stretches(Block block) {
    List<Stretch> stretches = new ArrayList<>();
    long begin = 0;
    for (HeadTensor part : parts) {
      long start = Math.max(block.start(), begin);
      long end = Math.min(block.end(), begin + part.tokens());
      if (start < end) {
        Block rows = new Block(block.sequence(), start - begin, end - begin);
        stretches.add(new Stretch(part, rows, (int) (start - block.start())));
      }
      begin += part.tokens();
    }
    return stretches;
  }

  /** As {@link HeadTensor#read}. */
  void read(SafetensorsFile file, FSDataInputStream in, Block block, HeadTensor.RowConsumer rows) {
    for (Stretch stretch : stretches(block)) {
      int first = stretch.firstRow;
      stretch.part.read(
          file,
          in,
          stretch.rows,
          (head, row, source, offset) -> rows.put(head, first + row, source, offset));
    }
  }

  /** As a tensor of the output: [batch, heads, past + tokens, headDim] of the same type. */
  Declaration declaration() {
    HeadTensor own = own();
    return new Declaration(
        "present_" + own.tensor().name(),
        own.tensor().type(),
        List.of((long) own.batch(), (long) own.heads(), tokens(), (long) own.headDim()));
  }

  /**
   * The bytes of a block's rows, unchanged.
   *
   * @param begin where the tensor starts in the output file
   * @return pieces by their offset in that file
   */
  List<Tuple2<Long, byte[]>> pieces(
      SafetensorsFile file, FSDataInputStream in, Block block, long begin) {
    HeadTensor own = own();
    long rowBytes = (long) own.headDim() * own.tensor().type().bytes();
    List<Tuple2<Long, byte[]>> pieces = new ArrayList<>();
    for (Stretch stretch : stretches(block)) {
      byte[][] byHead = stretch.part.bytes(file, in, stretch.rows);
      for (int head = 0; head < own.heads(); head++) {
        long headRow = ((long) block.sequence() * own.heads() + head) * tokens();
        long row = headRow + block.start() + stretch.firstRow;
        pieces.add(new Tuple2<>(begin + row * rowBytes, byHead[head]));
      }
    }
    return pieces;
  }
}

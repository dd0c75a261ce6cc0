package io.sparkattention.driver.io;

import io.sparkattention.driver.AttentionConfig.Key;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import io.sparkattention.driver.exchange.ScoreBlock;
import io.sparkattention.driver.io.SafetensorsWriter.Declaration;
import io.sparkattention.partitioning.Block;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import scala.Tuple2;

/**
 * The tensor {@code qk_matmul_output} [batch, heads, queries, keys] of the output: its keys are
 * those of the input, padding included, of which there is only what is known without reading it.
 */
final class ScoreTensor implements Serializable {
  private static final long serialVersionUID = 1L;

  static final String TENSOR = "qk_matmul_output";

  private static final long MAX_ELEMENTS = 1 << 24;

  private final DataType type;
  private final long heads;
  private final long queries;
  private final long keys;

  /** [batch]: keys that are no padding. */
  private final long[] unpadded;

  /** [batch]: position of the first query. */
  private final long[] firstQuery;

  private final float ofPadding;

  /**
   * @param keys on the last axis
   * @param type that of the queries
   */
  ScoreTensor(AttentionPlan plan, long keys, DataType type) {
    this.type = type;
    this.heads = plan.layout().numHeads();
    this.queries = plan.sequences().get(0).queries();
    this.keys = keys;
    this.unpadded = plan.sequences().stream().mapToLong(SequenceShape::keys).toArray();
    this.firstQuery = plan.sequences().stream().mapToLong(SequenceShape::firstQuery).toArray();
    this.ofPadding = plan.scoresOutput().orElseThrow().ofPadding();
  }

  /**
   * @throws InvalidInputException if the scores are more than people look at
   */
  void check() {
    double elements = (double) unpadded.length * heads * queries * keys;
    if (elements > MAX_ELEMENTS) {
      throw new InvalidInputException(
          "Cannot write %.0f scores of %d sequences × %d heads × %d queries × %d keys: expected at most %d; shorten the input or leave out %s"
              .formatted(
                  elements,
                  unpadded.length,
                  heads,
                  queries,
                  keys,
                  MAX_ELEMENTS,
                  Key.SCORES_OUTPUT.option()));
    }
  }

  Declaration declaration() {
    return new Declaration(TENSOR, type, List.of((long) unpadded.length, heads, queries, keys));
  }

  /**
   * The scores of a pair of blocks, row by row.
   *
   * @param begin where the tensor starts in the file
   * @return pieces by their offset in the file
   */
  List<Tuple2<Long, byte[]>> pieces(ScoreBlock block, long begin) {
    int count = block.keys().tokens();
    List<Tuple2<Long, byte[]>> pieces = new ArrayList<>();
    for (int head = 0; head < heads; head++) {
      for (int row = 0; row < block.queries().tokens(); row++) {
        int from = (head * block.queries().tokens() + row) * count;
        float[] scores = Arrays.copyOfRange(block.scores(), from, from + count);
        pieces.add(piece(block.queries(), head, row, block.keys().start(), scores, begin));
      }
    }
    return pieces;
  }

  /** What stands for the keys that are padding. */
  List<Tuple2<Long, byte[]>> padding(Block block, long begin) {
    long first = unpadded[block.sequence()];
    float[] scores = new float[(int) (keys - first)];
    Arrays.fill(scores, ofPadding);
    List<Tuple2<Long, byte[]>> pieces = new ArrayList<>();
    for (int head = 0; head < heads && scores.length > 0; head++) {
      for (int row = 0; row < block.tokens(); row++) {
        pieces.add(piece(block, head, row, first, scores, begin));
      }
    }
    return pieces;
  }

  private Tuple2<Long, byte[]> piece(
      Block block, int head, int row, long firstKey, float[] scores, long begin) {
    long query = block.start() - firstQuery[block.sequence()] + row;
    long headRow = (block.sequence() * heads + head) * queries + query;
    byte[] bytes = new byte[scores.length * type.bytes()];
    type.encode(scores, 0, scores.length, ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN));
    return new Tuple2<>(begin + (headRow * keys + firstKey) * type.bytes(), bytes);
  }
}

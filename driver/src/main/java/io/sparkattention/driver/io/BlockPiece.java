package io.sparkattention.driver.io;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import io.sparkattention.driver.exchange.BulkArrays;
import io.sparkattention.driver.exchange.VersionedSerializer;

/**
 * Some rows of one block on their way from the files that held them to the block's owner.
 *
 * @param block index of the block in the plan
 * @param rows [rows]: their rows in the block
 * @param first [rows, width]: queries, or keys
 * @param second [rows, width]: values, empty where the rows are queries
 */
@SuppressWarnings("ArrayRecordComponent")
public record BlockPiece(int block, int[] rows, float[] first, float[] second) {
  /** Registers what travels in a shuffle of pieces. */
  public static void register(Kryo kryo) {
    kryo.register(BlockPiece.class, new VersionedSerializer<>(BlockPiece::write, BlockPiece::read));
  }

  private static void write(Output out, BlockPiece piece) {
    out.writeInt(piece.block);
    BulkArrays.writeInts(out, piece.rows);
    BulkArrays.writeFloats(out, piece.first);
    BulkArrays.writeFloats(out, piece.second);
  }

  private static BlockPiece read(Input in) {
    return new BlockPiece(
        in.readInt(),
        BulkArrays.readInts(in),
        BulkArrays.readFloats(in),
        BulkArrays.readFloats(in));
  }
}

package io.sparkattention.driver.exchange;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.KryoException;
import com.esotericsoftware.kryo.Serializer;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.Panels;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.partitioning.Block;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Function;

/**
 * Kryo's view of what travels between executors: a version byte, then the fields, arrays in bulk. A
 * reader of another version refuses, so that executors with different jars fail at once.
 */
public final class VersionedSerializer<T> extends Serializer<T> {
  private static final byte VERSION = 3;

  /** Block, layout and number of keys, with the version before them. */
  private static final int HEAD_BYTES = 64;

  /** What a block of keys and values takes beside its arrays. */
  private static final int FIXED_BYTES =
      Byte.BYTES
          + Integer.BYTES
          + 2 * Long.BYTES
          + 5 * Integer.BYTES
          + 2 * (Byte.BYTES + Integer.BYTES)
          + Integer.BYTES;

  private final BiConsumer<Output, T> writer;
  private final Function<Input, T> reader;

  public VersionedSerializer(BiConsumer<Output, T> writer, Function<Input, T> reader) {
    this.writer = writer;
    this.reader = reader;
  }

  @Override
  public void write(Kryo kryo, Output out, T object) {
    out.writeByte(VERSION);
    writer.accept(out, object);
  }

  @Override
  public T read(Kryo kryo, Input in, Class<T> type) {
    checkVersion(in.readByte(), type);
    return reader.apply(in);
  }

  private static void checkVersion(byte version, Class<?> type) {
    if (version != VERSION) {
      throw new KryoException(
          "Cannot read %s of version %d: expected %d; use one spark-attention.jar everywhere"
              .formatted(type.getSimpleName(), version, VERSION));
    }
  }

  /** Registers everything that an exchange moves. */
  public static void registerAll(Kryo kryo) {
    kryo.register(
        Block.class,
        new VersionedSerializer<>(VersionedSerializer::writeBlock, VersionedSerializer::readBlock));
    kryo.register(
        AttentionState.class,
        new VersionedSerializer<>(VersionedSerializer::writeState, VersionedSerializer::readState));
    kryo.register(
        PlacedQueries.class,
        new VersionedSerializer<>(
            VersionedSerializer::writeQueries, VersionedSerializer::readQueries));
    kryo.register(Block[].class);
    kryo.register(PlacedQueries[].class);
    kryo.register(
        PlacedKeyValues.class,
        new VersionedSerializer<>(
            VersionedSerializer::writeKeyValues, VersionedSerializer::readKeyValues));
    kryo.register(PlacedKeyValues[].class);
    kryo.register(
        AttentionRows.class,
        new VersionedSerializer<>(VersionedSerializer::writeRows, VersionedSerializer::readRows));
    kryo.register(AttentionRows[].class);
    kryo.register(
        HeadRows.class,
        new VersionedSerializer<>(
            VersionedSerializer::writeHeadRows, VersionedSerializer::readHeadRows));
    kryo.register(
        RunCache.class,
        new VersionedSerializer<>(
            (out, cache) -> out.writeLong(cache.maxBytes()), in -> new RunCache(in.readLong())));
    kryo.register(
        RankSummary.class,
        new VersionedSerializer<>(
            VersionedSerializer::writeSummary, VersionedSerializer::readSummary));
    // The mean keys by which blocks are chosen.
    kryo.register(float[][].class);
  }

  private static void writeBlock(Output out, Block block) {
    out.writeInt(block.sequence());
    out.writeLong(block.start());
    out.writeLong(block.end());
  }

  private static Block readBlock(Input in) {
    return new Block(in.readInt(), in.readLong(), in.readLong());
  }

  private static void writeLayout(Output out, HeadLayout layout) {
    out.writeInt(layout.numHeads());
    out.writeInt(layout.numKeyValueHeads());
    out.writeInt(layout.keyDim());
    out.writeInt(layout.valueDim());
  }

  private static HeadLayout readLayout(Input in) {
    return new HeadLayout(in.readInt(), in.readInt(), in.readInt(), in.readInt());
  }

  private static void writeState(Output out, AttentionState state) {
    out.writeInt(state.heads());
    out.writeInt(state.rows());
    out.writeInt(state.valueDim());
    BulkArrays.writeInts(out, state.bin());
    BulkArrays.writeDoubles(out, state.hi());
    BulkArrays.writeDoubles(out, state.lo());
  }

  private static AttentionState readState(Input in) {
    return new AttentionState(
        in.readInt(),
        in.readInt(),
        in.readInt(),
        BulkArrays.readInts(in),
        BulkArrays.readDoubles(in),
        BulkArrays.readDoubles(in));
  }

  private static void writeQueries(Output out, PlacedQueries placed) {
    writeBlock(out, placed.block());
    writeLayout(out, placed.queries().layout());
    out.writeInt(placed.queries().rows());
    out.writeFloat(placed.queries().unit());
    BulkArrays.writeFloats(out, placed.queries().strips());
    BulkArrays.writeFloats(out, placed.queries().norms());
  }

  private static PlacedQueries readQueries(Input in) {
    return new PlacedQueries(
        readBlock(in),
        new QueryBlock(
            readLayout(in),
            in.readInt(),
            in.readFloat(),
            BulkArrays.readFloats(in),
            BulkArrays.readFloats(in)));
  }

  private static void writeKeyValues(Output out, PlacedKeyValues placed) {
    writeBlock(out, placed.block());
    writeLayout(out, placed.keyValues().layout());
    out.writeInt(placed.keyValues().keys());
    writePanels(out, placed.keyValues().keyPanels());
    writePanels(out, placed.keyValues().valuePanels());
    BulkArrays.writeFloats(out, placed.keyValues().keyNorms());
  }

  /**
   * What Kryo would write for a block, made while it is read: the arrays are not copied before.
   *
   * @return streams to be read one after the other
   */
  static List<InputStream> stream(PlacedKeyValues placed) {
    KeyValueBlock block = placed.keyValues();
    Output head = new Output(HEAD_BYTES, HEAD_BYTES);
    head.writeByte(VERSION);
    writeBlock(head, placed.block());
    writeLayout(head, block.layout());
    head.writeInt(block.keys());
    List<InputStream> parts = new ArrayList<>();
    for (Panels panels : List.of(block.keyPanels(), block.valuePanels())) {
      head.writeByte(panels.type().ordinal());
      head.writeInt(panels.length());
      parts.add(new ByteArrayInputStream(head.toBytes()));
      head.clear();
      parts.add(
          panels.type() == ElementType.F32
              ? ArrayStream.of(panels.floats())
              : ArrayStream.of(panels.halves()));
    }
    head.writeInt(block.keyNorms().length);
    parts.add(new ByteArrayInputStream(head.toBytes()));
    parts.add(ArrayStream.of(block.keyNorms()));
    return parts;
  }

  /** Bytes of {@link #stream}. */
  static long streamBytes(PlacedKeyValues placed) {
    KeyValueBlock block = placed.keyValues();
    return FIXED_BYTES
        + block.keyPanels().bytes()
        + block.valuePanels().bytes()
        + (long) Float.BYTES * block.keyNorms().length;
  }

  /** Reads what {@link #stream} gives. */
  static PlacedKeyValues readStream(Input in) {
    checkVersion(in.readByte(), PlacedKeyValues.class);
    return readKeyValues(in);
  }

  private static PlacedKeyValues readKeyValues(Input in) {
    return new PlacedKeyValues(
        readBlock(in),
        new KeyValueBlock(
            readLayout(in),
            in.readInt(),
            readPanels(in),
            readPanels(in),
            BulkArrays.readFloats(in)));
  }

  private static void writePanels(Output out, Panels panels) {
    out.writeByte(panels.type().ordinal());
    if (panels.type() == ElementType.F32) {
      BulkArrays.writeFloats(out, panels.floats());
    } else {
      BulkArrays.writeShorts(out, panels.halves());
    }
  }

  private static Panels readPanels(Input in) {
    ElementType type = ElementType.values()[in.readByte()];
    return type == ElementType.F32
        ? Panels.of(BulkArrays.readFloats(in))
        : Panels.of(type, BulkArrays.readShorts(in));
  }

  private static void writeRows(Output out, AttentionRows rows) {
    writeBlock(out, rows.block());
    BulkArrays.writeFloats(out, rows.output());
    BulkArrays.writeFloats(out, rows.logSumExp());
  }

  private static AttentionRows readRows(Input in) {
    return new AttentionRows(readBlock(in), BulkArrays.readFloats(in), BulkArrays.readFloats(in));
  }

  private static void writeHeadRows(Output out, HeadRows part) {
    out.writeInt(part.firstHead());
    writeRows(out, part.rows());
  }

  private static HeadRows readHeadRows(Input in) {
    return new HeadRows(in.readInt(), readRows(in));
  }

  private static void writeSummary(Output out, RankSummary summary) {
    out.writeLong(summary.reading().startMillis());
    out.writeLong(summary.reading().endMillis());
    out.writeLong(summary.reading().bytesMoved());
    out.writeLong(summary.reading().peakHeapBytes());
    out.writeLong(summary.reading().countedPairs());
    TimeSplit times = summary.reading().times();
    out.writeLong(times.computeNanos());
    out.writeLong(times.waitNanos());
    out.writeLong(times.fetchNanos());
    out.writeLong(times.finishNanos());
    out.writeString(summary.refusal());
  }

  private static RankSummary readSummary(Input in) {
    return new RankSummary(
        new AttentionMeter.Reading(
            in.readLong(),
            in.readLong(),
            in.readLong(),
            in.readLong(),
            in.readLong(),
            new TimeSplit(in.readLong(), in.readLong(), in.readLong(), in.readLong())),
        in.readString());
  }
}

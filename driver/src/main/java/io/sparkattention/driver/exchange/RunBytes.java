package io.sparkattention.driver.exchange;

import io.netty.handler.stream.ChunkedStream;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.SequenceInputStream;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.spark.network.buffer.ManagedBuffer;
import org.apache.spark.network.util.AbstractFileRegion;

/**
 * A run of keys and values on its way to another rank: the number of its blocks, then each as Kryo
 * writes it. The bytes are made from the arrays while the network takes them, so that a run that is
 * sent needs 64 KiB beside its arrays.
 */
final class RunBytes extends ManagedBuffer {
  private static final int PIECE_BYTES = 64 << 10;

  private final List<PlacedKeyValues> run;

  RunBytes(List<PlacedKeyValues> run) {
    this.run = run;
  }

  @Override
  public long size() {
    return Integer.BYTES + run.stream().mapToLong(VersionedSerializer::streamBytes).sum();
  }

  @Override
  public InputStream createInputStream() {
    ByteBuffer count = ByteBuffer.allocate(Integer.BYTES).putInt(run.size());
    List<InputStream> parts = new ArrayList<>();
    parts.add(new ByteArrayInputStream(count.array()));
    run.forEach(block -> parts.addAll(VersionedSerializer.stream(block)));
    return new SequenceInputStream(Collections.enumeration(parts));
  }

  @Override
  public ByteBuffer nioByteBuffer() throws IOException {
    return ByteBuffer.wrap(createInputStream().readNBytes(Math.toIntExact(size())));
  }

  @Override
  public Object convertToNetty() {
    return new Region(createInputStream(), size());
  }

  @Override
  public Object convertToNettyForSsl() {
    return new ChunkedStream(createInputStream(), PIECE_BYTES);
  }

  /** The arrays belong to Spark's storage and to the garbage collector. */
  @Override
  public ManagedBuffer retain() {
    return this;
  }

  @Override
  public ManagedBuffer release() {
    return this;
  }

  /** What Netty asks for the next bytes whenever its socket has room. */
  private static final class Region extends AbstractFileRegion {
    private final InputStream bytes;
    private final long count;
    private final ByteBuffer piece = ByteBuffer.allocate(PIECE_BYTES).limit(0);
    private long transferred;

    Region(InputStream bytes, long count) {
      this.bytes = bytes;
      this.count = count;
    }

    @Override
    public long position() {
      return 0;
    }

    @Override
    public long transferred() {
      return transferred;
    }

    @Override
    public long count() {
      return count;
    }

    @Override
    public long transferTo(WritableByteChannel target, long position) throws IOException {
      if (!piece.hasRemaining()) {
        piece.clear();
        piece.limit(bytes.readNBytes(piece.array(), 0, piece.capacity()));
      }
      int written = target.write(piece);
      transferred += written;
      return written;
    }

    @Override
    protected void deallocate() {}
  }
}

package io.sparkattention.driver.exchange;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.spark.network.client.StreamCallback;

/**
 * The bytes of one run as they arrive: the network's thread puts them in, the reading thread takes
 * them out. What has arrived and is not read is at most the run.
 */
final class Arrival extends InputStream implements StreamCallback {
  private static final ByteBuffer END = ByteBuffer.allocate(0);

  private final BlockingQueue<ByteBuffer> pieces = new LinkedBlockingQueue<>();
  private final Duration timeout;
  private ByteBuffer piece = ByteBuffer.allocate(0);

  /** Set before the end is put in. */
  private volatile Throwable failure;

  /**
   * @param timeout longest silence
   */
  Arrival(Duration timeout) {
    this.timeout = timeout;
  }

  @Override
  public void onData(String stream, ByteBuffer bytes) {
    // The bytes are the network's.
    pieces.add(ByteBuffer.allocate(bytes.remaining()).put(bytes).flip());
  }

  @Override
  public void onComplete(String stream) {
    pieces.add(END);
  }

  @Override
  public void onFailure(String stream, Throwable cause) {
    failure = cause;
    pieces.add(END);
  }

  @Override
  public int read() throws IOException {
    return arrived() ? piece.get() & 0xff : -1;
  }

  @Override
  public int read(byte[] bytes, int offset, int count) throws IOException {
    if (count == 0) {
      return 0;
    }
    if (!arrived()) {
      return -1;
    }
    int now = Math.min(count, piece.remaining());
    piece.get(bytes, offset, now);
    return now;
  }

  /** Waits for the next bytes; whether there are any. */
  private boolean arrived() throws IOException {
    while (!piece.hasRemaining() && piece != END) {
      try {
        piece = pieces.poll(timeout.toMillis(), TimeUnit.MILLISECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new InterruptedIOException();
      }
      if (piece == null) {
        piece = END;
        failure = new IOException("no byte for " + timeout.toMillis() / 1e3 + " s");
      }
    }
    if (piece == END && failure != null) {
      throw new IOException(failure.getMessage(), failure);
    }
    return piece.hasRemaining();
  }
}

package io.sparkattention.driver.exchange;

import com.esotericsoftware.kryo.KryoException;
import com.esotericsoftware.kryo.io.Input;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;
import org.apache.spark.network.TransportContext;
import org.apache.spark.network.client.TransportClient;
import org.apache.spark.network.client.TransportClientFactory;
import org.apache.spark.network.server.NoOpRpcHandler;

/**
 * The runs that a rank visits: from the ranks that own them, or from this executor's storage where
 * the owner runs here too.
 */
final class PeerRuns implements AutoCloseable {
  private static final int BUFFER_BYTES = 64 << 10;

  private final PeerRequest own;
  private final PeerAddress[] addresses;
  private final BarrierRanks.Visit[] visits;
  private final IntFunction<List<PlacedKeyValues>> stored;
  private final Duration timeout;
  private final TransportContext context;
  private final TransportClientFactory clients;
  private volatile long bytesFetched;

  /**
   * @param own stage, attempt and rank of the reader
   * @param addresses [ranks]: where each serves
   * @param visits what to read, in order
   * @param stored gives the same runs from Spark's storage
   */
  PeerRuns(
      PeerNetwork network,
      PeerRequest own,
      PeerAddress[] addresses,
      BarrierRanks.Visit[] visits,
      IntFunction<List<PlacedKeyValues>> stored) {
    this.own = own;
    this.addresses = addresses;
    this.visits = visits;
    this.stored = stored;
    this.timeout = network.timeout();
    this.context = network.context(new NoOpRpcHandler());
    this.clients = network.clients(context);
  }

  /** Reads the run of a visit. */
  List<PlacedKeyValues> read(int visit) {
    BarrierRanks.Visit next = visits[visit];
    if (addresses[next.shard()].executor().equals(addresses[own.rank()].executor())) {
      return stored.apply(visit);
    }
    try {
      return fetch(next);
    } catch (IOException | RuntimeException e) {
      throw lost(next.shard(), "read run " + next.run() + " in step " + next.step(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("Interrupted while reading keys and values", e);
    }
  }

  @SuppressWarnings("NonAtomicVolatileUpdate") // one thread reads
  private List<PlacedKeyValues> fetch(BarrierRanks.Visit next)
      throws IOException, InterruptedException {
    TransportClient client = client(next.shard());
    ByteBuffer answer =
        client.sendRpcSync(request(next.run()).encode(), Math.max(1, timeout.toMillis()));
    Arrival bytes = new Arrival(timeout);
    client.stream(StandardCharsets.US_ASCII.decode(answer).toString(), bytes);
    Input in = new Input(bytes, BUFFER_BYTES);
    int blocks = in.readInt();
    List<PlacedKeyValues> run = new ArrayList<>();
    for (int i = 0; i < blocks; i++) {
      PlacedKeyValues block = VersionedSerializer.readStream(in);
      bytesFetched += block.bytes();
      run.add(block);
    }
    if (!in.eof()) {
      throw new KryoException("more bytes than " + blocks + " blocks");
    }
    return run;
  }

  /**
   * Asks a rank whether it is there.
   *
   * @throws LostPeerException if it does not answer
   */
  void check(int rank) {
    try {
      client(rank)
          .sendRpcSync(
              request(PeerRequest.ARE_YOU_THERE).encode(), Math.max(1, timeout.toMillis()));
    } catch (IOException | RuntimeException e) {
      throw lost(rank, "wait after the last step for a reader", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("Interrupted while others read keys and values", e);
    }
  }

  private TransportClient client(int rank) throws IOException, InterruptedException {
    return clients.createClient(addresses[rank].host(), addresses[rank].port());
  }

  private PeerRequest request(int run) {
    return new PeerRequest(own.stage(), own.attempt(), own.rank(), run);
  }

  private LostPeerException lost(int rank, String what, Exception cause) {
    String reason = cause.toString().lines().findFirst().orElse("");
    return new LostPeerException(
        "Rank %d lost rank %d at %s, cannot %s: %s, expected an answer within %d s (spark.network.timeout); look at that executor's log"
            .formatted(own.rank(), rank, addresses[rank], what, reason, timeout.toSeconds()),
        cause);
  }

  /** Bytes that came from the tasks of other executors. */
  long bytesFetched() {
    return bytesFetched;
  }

  @Override
  public void close() {
    clients.close();
    context.close();
  }
}

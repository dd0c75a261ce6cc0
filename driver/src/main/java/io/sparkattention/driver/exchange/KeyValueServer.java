package io.sparkattention.driver.exchange;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.function.IntConsumer;
import java.util.function.IntFunction;
import org.apache.spark.TaskContext;
import org.apache.spark.network.TransportContext;
import org.apache.spark.network.buffer.ManagedBuffer;
import org.apache.spark.network.client.RpcResponseCallback;
import org.apache.spark.network.client.TransportClient;
import org.apache.spark.network.server.RpcHandler;
import org.apache.spark.network.server.StreamManager;
import org.apache.spark.network.server.TransportServer;

/**
 * Serves the runs of one rank to the others. A run is asked for by a message, which Spark's network
 * library lets through from authenticated clients only; the answer is the name of a stream, random
 * and good for once, since a stream's name is all that the library asks for.
 */
final class KeyValueServer implements AutoCloseable {
  /** Runs in memory that others have asked for and not yet got; further ones wait. */
  private static final int RUNS_AHEAD = 2;

  private final PeerRequest own;
  private final Map<Integer, Integer> visitOfRun;
  private final IntFunction<List<PlacedKeyValues>> source;
  private final TaskThread thread;
  private final TransportContext context;
  private final TransportServer server;
  private final Semaphore ahead = new Semaphore(RUNS_AHEAD);
  private final Map<String, Prepared> prepared = new ConcurrentHashMap<>();
  private final Map<String, Prepared> sending = new ConcurrentHashMap<>();

  /** [ranks]: runs that each rank has still to read. */
  private final AtomicIntegerArray unread;

  /** A run in memory for the one who asked. */
  private record Prepared(TransportClient client, int rank, List<PlacedKeyValues> run) {}

  /**
   * Begins to serve.
   *
   * @param own stage, attempt and rank of this server
   * @param visitOfRun where in {@code source} each of its runs is
   * @param reads [ranks]: runs that each rank will read
   */
  KeyValueServer(
      PeerNetwork network,
      PeerRequest own,
      Map<Integer, Integer> visitOfRun,
      IntFunction<List<PlacedKeyValues>> source,
      int[] reads,
      TaskContext task) {
    this.own = own;
    this.visitOfRun = visitOfRun;
    this.source = source;
    this.unread = new AtomicIntegerArray(reads);
    this.thread = new TaskThread("attention-serve", task);
    this.context = network.context(new Answers());
    this.server = network.serve(context);
  }

  int port() {
    return server.getPort();
  }

  /** A rank that reads this one's runs where they are stored asks for nothing. */
  void expectNothingFrom(int rank) {
    unread.set(rank, 0);
  }

  /**
   * Returns when the others have read all that they will.
   *
   * @param intervalMillis between two checks
   * @param check called for each rank that has still to read; throws if it is lost
   */
  void awaitReaders(TaskContext task, long intervalMillis, IntConsumer check) {
    long lastCheck = System.nanoTime();
    for (int rank = 0; rank < unread.length(); rank++) {
      while (unread.get(rank) > 0) {
        task.killTaskIfInterrupted();
        if (System.nanoTime() - lastCheck > TimeUnit.MILLISECONDS.toNanos(intervalMillis)) {
          check(check);
          lastCheck = System.nanoTime();
        }
        await();
      }
    }
  }

  private void check(IntConsumer check) {
    for (int rank = 0; rank < unread.length(); rank++) {
      if (unread.get(rank) > 0) {
        try {
          check.accept(rank);
        } catch (LostPeerException e) {
          // It may have read the last run meanwhile, and gone.
          if (unread.get(rank) > 0) {
            throw e;
          }
        }
      }
    }
  }

  private synchronized void await() {
    try {
      wait(TaskThread.POLL_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("Interrupted while others read keys and values", e);
    }
  }

  @Override
  public void close() {
    server.close();
    context.close();
    thread.close();
  }

  private void prepare(TransportClient client, PeerRequest request, RpcResponseCallback answer) {
    try {
      ahead.acquire();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      answer.onFailure(e);
      return;
    }
    try {
      List<PlacedKeyValues> run = source.apply(visitOfRun.get(request.run()));
      String stream = UUID.randomUUID().toString();
      prepared.put(stream, new Prepared(client, request.rank(), run));
      if (!client.isActive()) {
        forget(client);
      }
      answer.onSuccess(StandardCharsets.US_ASCII.encode(stream));
    } catch (RuntimeException | Error e) {
      ahead.release();
      answer.onFailure(e);
    }
  }

  /** What a client asked for and will not fetch. */
  private void forget(TransportClient client) {
    for (Map.Entry<String, Prepared> one : prepared.entrySet()) {
      if (one.getValue().client() == client && prepared.remove(one.getKey()) != null) {
        ahead.release();
      }
    }
  }

  /** Runs on the network's thread, and so never waits. */
  private final class Answers extends RpcHandler {
    private final StreamManager streams = new Streams();

    @Override
    public void receive(TransportClient client, ByteBuffer message, RpcResponseCallback answer) {
      PeerRequest request = PeerRequest.decode(message);
      if (request.stage() != own.stage() || request.attempt() != own.attempt()) {
        answer.onFailure(
            new IllegalStateException(
                "Rank " + own.rank() + " is here of " + own + ": " + request));
      } else if (request.run() == PeerRequest.ARE_YOU_THERE) {
        answer.onSuccess(ByteBuffer.allocate(0));
      } else if (!visitOfRun.containsKey(request.run())) {
        answer.onFailure(
            new IllegalStateException("Rank " + own.rank() + " does not own run " + request.run()));
      } else {
        thread.submit(
            () -> {
              prepare(client, request, answer);
              return null;
            });
      }
    }

    @Override
    public void channelInactive(TransportClient client) {
      forget(client);
    }

    @Override
    public StreamManager getStreamManager() {
      return streams;
    }
  }

  private final class Streams extends StreamManager {
    @Override
    public ManagedBuffer getChunk(long streamId, int chunkIndex) {
      throw new UnsupportedOperationException("Runs are streams");
    }

    @Override
    public ManagedBuffer openStream(String stream) {
      Prepared run = prepared.remove(stream);
      if (run == null) {
        return null;
      }
      sending.put(stream, run);
      return new RunBytes(run.run());
    }

    @Override
    public void streamSent(String stream) {
      Prepared run = sending.remove(stream);
      if (run != null) {
        ahead.release();
        unread.decrementAndGet(run.rank());
        synchronized (KeyValueServer.this) {
          KeyValueServer.this.notifyAll();
        }
      }
    }
  }
}

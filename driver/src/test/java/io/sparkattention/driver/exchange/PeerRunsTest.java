package io.sparkattention.driver.exchange;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.io.Output;
import io.sparkattention.driver.KeyStores;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.Panels;
import io.sparkattention.partitioning.Block;
import java.io.ByteArrayOutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.apache.spark.SecurityManager;
import org.apache.spark.SparkConf;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskContext$;
import org.apache.spark.network.TransportContext;
import org.apache.spark.network.client.TransportClient;
import org.apache.spark.network.client.TransportClientFactory;
import org.apache.spark.network.netty.SparkTransportConf;
import org.apache.spark.network.server.NoOpRpcHandler;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import scala.Option;

/** Two ranks of a barrier stage, one that serves its runs and one that reads them. */
class PeerRunsTest {
  private static final String LOOPBACK = "127.0.0.1";
  private static final HeadLayout LAYOUT = new HeadLayout(4, 2, 16, 8);
  private static final long SEED = 181;
  private static final PeerRequest SERVER = new PeerRequest(7, 1, 1, 1);
  private static final PeerRequest READER = new PeerRequest(7, 1, 0, 0);

  /** Rank 0 reads both runs of rank 1, the later one first. */
  private static final BarrierRanks.Visit[] VISITS = {
    new BarrierRanks.Visit(5, 1, 1, null), new BarrierRanks.Visit(4, 1, 1, null)
  };

  @TempDir private static Path folder;

  private final TaskContext task = TaskContext$.MODULE$.empty();
  private final RunSecret secret = new RunSecret();

  /** A run of 40,000 keys, more than the network takes at once, and one of two short blocks. */
  private static final List<List<PlacedKeyValues>> RUNS =
      List.of(
          List.of(block(0, 40_000, ElementType.F32)),
          List.of(block(40_000, 40_001, ElementType.BF16), block(40_001, 40_100, null)));

  private static PlacedKeyValues block(long start, long end, ElementType type) {
    Random random = new Random(SEED + start);
    int keys = (int) (end - start);
    ElementType ofPanels = type == null ? ElementType.F16 : type;
    KeyValueBlock shape = new KeyValueBlock.Packer(LAYOUT, keys).pack();
    return new PlacedKeyValues(
        new Block(3, start, end),
        new KeyValueBlock(
            LAYOUT,
            keys,
            panels(random, ofPanels, shape.keyPanels().length()),
            panels(random, ofPanels, shape.valuePanels().length()),
            shape.keyNorms()));
  }

  private static Panels panels(Random random, ElementType type, int length) {
    if (type == ElementType.F32) {
      float[] floats = new float[length];
      for (int i = 0; i < length; i++) {
        floats[i] = random.nextFloat();
      }
      return Panels.of(floats);
    }
    short[] halves = new short[length];
    for (int i = 0; i < length; i++) {
      halves[i] = (short) random.nextInt();
    }
    return Panels.of(type, halves);
  }

  private static byte[] kryoBytes(PlacedKeyValues block) {
    Kryo kryo = new Kryo();
    kryo.setReferences(false);
    VersionedSerializer.registerAll(kryo);
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (Output out = new Output(bytes)) {
      kryo.writeObject(out, block);
    }
    return bytes.toByteArray();
  }

  private static SparkConf conf() {
    return new SparkConf(false).set("spark.app.id", "application");
  }

  private static SparkConf conf(String protection) throws Exception {
    SparkConf conf = conf();
    if (protection.startsWith("secret")) {
      conf.set("spark.authenticate", "true").set("spark.authenticate.secret", "the cluster's");
    }
    if (protection.equals("secret and AES")) {
      conf.set("spark.network.crypto.enabled", "true");
    }
    return protection.equals("TLS") ? KeyStores.withTls(conf, folder) : conf;
  }

  private PeerNetwork network(SparkConf conf) {
    return network(conf, secret);
  }

  private static PeerNetwork network(SparkConf conf, RunSecret secret) {
    return new PeerNetwork(
        LOOPBACK,
        conf,
        new SecurityManager(
            conf,
            Option.empty(),
            org.apache.spark.internal.config.package$.MODULE$.AUTH_SECRET_FILE()),
        secret);
  }

  /** Rank 1, of which rank 0 is to read so many runs. */
  private KeyValueServer server(PeerNetwork network, int reads) {
    return new KeyValueServer(
        network, SERVER, Map.of(4, 0, 5, 1), RUNS::get, new int[] {reads, 0}, task);
  }

  private static PeerAddress[] addresses(int port) {
    return new PeerAddress[] {
      new PeerAddress("10", LOOPBACK, 1), new PeerAddress("11", LOOPBACK, port)
    };
  }

  private static PeerRuns reader(PeerNetwork network, PeerRequest own, int port) {
    return new PeerRuns(network, own, addresses(port), VISITS, run -> List.of());
  }

  @Test
  void theStreamIsWhatKryoWrites() throws Exception {
    for (List<PlacedKeyValues> run : RUNS) {
      RunBytes bytes = new RunBytes(run);
      byte[] all = bytes.createInputStream().readAllBytes();
      ByteArrayOutputStream expected = new ByteArrayOutputStream();
      expected.write(ByteBuffer.allocate(4).putInt(run.size()).array());
      for (PlacedKeyValues block : run) {
        expected.write(kryoBytes(block));
      }
      assertThat(all).isEqualTo(expected.toByteArray()).hasSize((int) bytes.size());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"the run's secret", "secret", "secret and AES", "TLS"})
  void readsWhatTheOtherOwns(String protection) throws Exception {
    PeerNetwork network = network(conf(protection));
    try (KeyValueServer server = server(network, VISITS.length);
        PeerRuns runs = reader(network, READER, server.port())) {
      List<PlacedKeyValues> read = new ArrayList<>();
      read.addAll(runs.read(1));
      runs.check(1);
      read.addAll(runs.read(0));
      server.awaitReaders(task, 1, rank -> {});
      List<PlacedKeyValues> owned = RUNS.stream().flatMap(List::stream).toList();
      assertThat(read).hasSameSizeAs(owned);
      for (int i = 0; i < owned.size(); i++) {
        assertThat(kryoBytes(read.get(i))).as("block %d", i).isEqualTo(kryoBytes(owned.get(i)));
      }
      assertThat(runs.bytesFetched())
          .isEqualTo(owned.stream().mapToLong(PlacedKeyValues::bytes).sum());
    }
  }

  @Test
  void whoRunsOnTheSameExecutorReadsItsStorage() {
    PeerNetwork network = network(conf());
    PeerAddress[] here = {new PeerAddress("10", LOOPBACK, 1), new PeerAddress("10", LOOPBACK, 1)};
    try (PeerRuns runs = new PeerRuns(network, READER, here, VISITS, RUNS::get)) {
      assertThat(runs.read(1)).isSameAs(RUNS.get(1));
      assertThat(runs.bytesFetched()).isZero();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"the run's secret", "secret", "secret and AES"})
  void whoDoesNotKnowTheSecretIsRefused(String protection) throws Exception {
    SparkConf wrong = conf(protection);
    if (protection.startsWith("secret")) {
      wrong.set("spark.authenticate.secret", "another");
    }
    try (KeyValueServer server = server(network(conf(protection)), VISITS.length);
        PeerRuns runs = reader(network(wrong, new RunSecret()), READER, server.port())) {
      assertThatThrownBy(() -> runs.read(0))
          .isInstanceOf(LostPeerException.class)
          .hasMessageStartingWith(
              "Rank 0 lost rank 1 at 127.0.0.1:%d (executor 11), cannot read run 5 in step 1: "
                  .formatted(server.port()));
    }
  }

  /** Who speaks Spark's protocol and leaves the handshake out gets no answer and no stream. */
  @Test
  void whoDoesNotProveAnythingIsRefused() throws Exception {
    try (KeyValueServer server = server(network(conf()), VISITS.length);
        TransportContext context =
            new TransportContext(
                SparkTransportConf.fromSparkConf(
                    conf(), "shuffle", 1, Option.empty(), Option.empty()),
                new NoOpRpcHandler());
        TransportClientFactory clients = context.createClientFactory();
        TransportClient client = clients.createClient(LOOPBACK, server.port())) {
      ByteBuffer request = new PeerRequest(7, 1, 0, 5).encode();
      assertThatThrownBy(() -> client.sendRpcSync(request, 60_000)).isInstanceOf(Exception.class);
      try (TransportClient again = clients.createClient(LOOPBACK, server.port())) {
        Arrival nothing = new Arrival(Duration.ofMinutes(1));
        again.stream("5", nothing);
        assertThatThrownBy(nothing::read).hasMessageContaining("was not found");
      }
    }
  }

  @Test
  void ranksOfAnotherAttemptAreStrangers() {
    PeerNetwork network = network(conf());
    try (KeyValueServer server = server(network, VISITS.length);
        PeerRuns runs = reader(network, new PeerRequest(7, 2, 0, 0), server.port())) {
      assertThatThrownBy(() -> runs.read(0)).isInstanceOf(LostPeerException.class);
      assertThatThrownBy(() -> runs.check(1)).isInstanceOf(LostPeerException.class);
    }
  }

  /** It accepts the connection, as the kernel of a stuck machine does. */
  @Test
  void aPeerThatNeverAnswersIsLost() throws Exception {
    SparkConf impatient =
        conf().set("spark.network.timeout", "1s").set("spark.network.auth.rpcTimeout", "1s");
    try (ServerSocket silent = new ServerSocket(0, 1, InetAddress.getByName(LOOPBACK));
        PeerRuns runs = reader(network(impatient), READER, silent.getLocalPort())) {
      assertThatThrownBy(() -> runs.read(0))
          .isInstanceOf(LostPeerException.class)
          .hasMessageStartingWith(
              "Rank 0 lost rank 1 at 127.0.0.1:%d (executor 11), cannot read run 5 in step 1: "
                  .formatted(silent.getLocalPort()))
          .hasMessageEndingWith(
              ", expected an answer within 1 s (spark.network.timeout); look at that executor's"
                  + " log");
    }
  }

  @Test
  void bytesThatStopComingAreAnError() {
    Arrival arrival = new Arrival(Duration.ofMillis(10));
    arrival.onData("s", ByteBuffer.wrap(new byte[] {42}));
    assertThat(assertNoThrow(arrival)).isEqualTo(42);
    assertThatThrownBy(arrival::read).hasMessage("no byte for 0.01 s");
  }

  private static int assertNoThrow(Arrival arrival) {
    try {
      return arrival.read();
    } catch (java.io.IOException e) {
      throw new AssertionError(e);
    }
  }

  /** Nobody closes before all have read. */
  @Test
  void theServerWaitsForItsReadersAndOnlyForThem() throws Exception {
    PeerNetwork network = network(conf());
    try (KeyValueServer server = server(network, VISITS.length);
        PeerRuns runs = reader(network, READER, server.port())) {
      CompletableFuture<Void> closing =
          CompletableFuture.runAsync(() -> server.awaitReaders(task, 60_000, rank -> {}));
      runs.read(0);
      assertThat(closing).isNotDone();
      runs.read(1);
      await().atMost(Duration.ofMinutes(1)).until(closing::isDone);
      closing.join();
    }
    try (KeyValueServer server = server(network, VISITS.length)) {
      server.expectNothingFrom(0);
      server.awaitReaders(task, 60_000, rank -> {});
    }
  }

  @Test
  void aReaderThatIsLostEndsTheWait() {
    PeerNetwork network = network(conf());
    try (KeyValueServer server = server(network, VISITS.length)) {
      assertThatThrownBy(
              () ->
                  server.awaitReaders(
                      task,
                      1,
                      rank -> {
                        throw new LostPeerException("rank " + rank, null);
                      }))
          .isInstanceOf(LostPeerException.class)
          .hasMessage("rank 0");
    }
  }
}

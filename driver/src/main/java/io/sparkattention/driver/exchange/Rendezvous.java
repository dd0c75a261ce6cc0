package io.sparkattention.driver.exchange;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.rpc.RpcCallContext;
import org.apache.spark.rpc.RpcEndpointRef;
import org.apache.spark.rpc.RpcEnv;
import org.apache.spark.rpc.ThreadSafeRpcEndpoint;
import org.apache.spark.util.RpcUtils;
import scala.Function1;
import scala.PartialFunction;
import scala.concurrent.Future;
import scala.jdk.javaapi.FutureConverters;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractPartialFunction;
import scala.runtime.BoxedUnit;

/**
 * Where the ranks of a stage attempt learn each other's addresses: an endpoint at Spark's driver,
 * behind its port, authentication and encryption. Each rank says where it is, once, and is answered
 * when all are there. Takes milliseconds, where Spark's {@code allGather} sleeps for a second.
 *
 * <p>Messages are texts: Spark's own class loader reads them, which does not know our classes.
 */
final class Rendezvous implements ThreadSafeRpcEndpoint {
  private final RpcEnv env;
  private final int ranks;
  private final String name = "attention-rendezvous-" + UUID.randomUUID();

  /** By stage attempt; those that failed stay, a few texts each, until the run ends. */
  private final Map<String, Meeting> meetings = new HashMap<>();

  /** Who has come, and who is to be told. */
  private static final class Meeting {
    private final String[] addresses;
    private final List<RpcCallContext> waiting = new ArrayList<>();

    Meeting(int ranks) {
      addresses = new String[ranks];
    }
  }

  /**
   * @param ranks how many will come
   */
  Rendezvous(RpcEnv env, int ranks) {
    this.env = env;
    this.ranks = ranks;
    env.setupEndpoint(name, this);
  }

  /** What the ranks need to find this place. */
  String name() {
    return name;
  }

  void close() {
    env.stop(env.endpointRef(this));
  }

  /**
   * Tells the others of this stage attempt where a rank is, and waits for them.
   *
   * @param name of the rendezvous
   * @param ranks how many tasks this rank's stage has
   * @return [ranks]: where each is
   * @throws LostPeerException if they do not all come within {@code spark.rpc.askTimeout}
   */
  static PeerAddress[] join(String name, PeerRequest own, int ranks, PeerAddress address) {
    SparkEnv env = SparkEnv.get();
    RpcEndpointRef driver = RpcUtils.makeDriverRef(name, env.conf(), env.rpcEnv());
    String[] message = {
      own.stage() + "." + own.attempt(),
      Integer.toString(own.rank()),
      Integer.toString(ranks),
      address.encode()
    };
    Future<String[]> answer =
        driver.ask(
            message, RpcUtils.askRpcTimeout(env.conf()), ClassTag$.MODULE$.apply(String[].class));
    String[] addresses;
    try {
      addresses =
          TaskThread.await(
              FutureConverters.asJava(answer).toCompletableFuture(), TaskContext.get());
    } catch (Exception e) {
      TaskContext.get().killTaskIfInterrupted();
      throw new LostPeerException(
          "Rank %d at %s, step 0: cannot learn where the other %d ranks are: %s"
              .formatted(own.rank(), address, ranks - 1, e.getMessage()),
          e);
    }
    PeerAddress[] peers = new PeerAddress[ranks];
    for (int rank = 0; rank < ranks; rank++) {
      peers[rank] = PeerAddress.decode(addresses[rank]);
    }
    return peers;
  }

  @Override
  public RpcEnv rpcEnv() {
    return env;
  }

  @Override
  public PartialFunction<Object, BoxedUnit> receiveAndReply(RpcCallContext caller) {
    return new AbstractPartialFunction<>() {
      @Override
      public boolean isDefinedAt(Object message) {
        return message instanceof String[];
      }

      @Override
      @SuppressWarnings("unchecked") // BoxedUnit is what Spark asks for
      public <A1, B1> B1 applyOrElse(A1 message, Function1<A1, B1> otherwise) {
        if (!(message instanceof String[] text)) {
          return otherwise.apply(message);
        }
        meet(text[0], Integer.parseInt(text[1]), Integer.parseInt(text[2]), text[3], caller);
        return (B1) BoxedUnit.UNIT;
      }
    };
  }

  private void meet(
      String stageAttempt, int rank, int found, String address, RpcCallContext caller) {
    Meeting meeting = meetings.computeIfAbsent(stageAttempt, key -> new Meeting(ranks));
    if (found != ranks || meeting.addresses[rank] != null) {
      caller.sendFailure(
          new IllegalStateException(
              "Cannot meet as rank %d of %d in stage attempt %s: expected each of %d ranks once"
                  .formatted(rank, found, stageAttempt, ranks)));
      return;
    }
    meeting.addresses[rank] = address;
    meeting.waiting.add(caller);
    if (meeting.waiting.size() == ranks) {
      meeting.waiting.forEach(one -> one.reply(meeting.addresses));
    }
  }
}

package io.sparkattention.driver.exchange;

import java.time.Duration;
import java.util.List;
import org.apache.spark.SecurityManager;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.apache.spark.network.TransportContext;
import org.apache.spark.network.client.TransportClientFactory;
import org.apache.spark.network.crypto.AuthClientBootstrap;
import org.apache.spark.network.crypto.AuthServerBootstrap;
import org.apache.spark.network.netty.SparkTransportConf;
import org.apache.spark.network.sasl.SecretKeyHolder;
import org.apache.spark.network.server.RpcHandler;
import org.apache.spark.network.server.TransportServer;
import org.apache.spark.network.util.TransportConf;
import scala.Option;

/**
 * Spark's network library between the ranks, set up as Spark sets it up for its own blocks: {@code
 * spark.shuffle.io.*}, {@code spark.network.*} and {@code spark.ssl.rpc.*} hold here too. Both ends
 * of a connection prove that they know a secret before anything else is said: the cluster's under
 * {@code spark.authenticate}, else that of the run.
 */
final class PeerNetwork {
  /** One thread of a rank serves and one fetches; both only copy. */
  private static final int THREADS = 1;

  private final String host;
  private final TransportConf conf;
  private final String applicationId;
  private final SecretKeyHolder secret;
  private final Duration timeout;

  /**
   * @param runSecret for clusters without one
   */
  PeerNetwork(SparkEnv env, SecretKeyHolder runSecret) {
    this(env.blockManager().blockManagerId().host(), env.conf(), env.securityManager(), runSecret);
  }

  PeerNetwork(String host, SparkConf spark, SecurityManager security, SecretKeyHolder runSecret) {
    this.host = host;
    this.conf =
        SparkTransportConf.fromSparkConf(
            spark, "shuffle", THREADS, Option.empty(), Option.apply(security.getRpcSSLOptions()));
    this.applicationId = spark.getAppId();
    this.secret = security.isAuthenticationEnabled() ? security : runSecret;
    this.timeout = Duration.ofSeconds(spark.getTimeAsSeconds("spark.network.timeout", "120s"));
  }

  /** Where this executor serves its blocks, and where a rank in it serves. */
  String host() {
    return host;
  }

  /** How long a peer may say nothing: {@code spark.network.timeout}. */
  Duration timeout() {
    return timeout;
  }

  /**
   * @param server answers what others ask
   */
  TransportContext context(RpcHandler server) {
    return new TransportContext(conf, server);
  }

  /** A server on a free port. */
  TransportServer serve(TransportContext context) {
    return context.createServer(host, 0, List.of(new AuthServerBootstrap(conf, secret)));
  }

  TransportClientFactory clients(TransportContext context) {
    return context.createClientFactory(
        List.of(new AuthClientBootstrap(conf, applicationId, secret)));
  }
}

package io.sparkattention.jobs;

import io.sparkattention.driver.AttentionKryoRegistrator;
import io.sparkattention.kernels.AttentionKernels;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.SparkConf;
import org.apache.spark.serializer.KryoSerializer;
import org.apache.spark.sql.SparkSession;

/** The Spark session of a command. */
final class Sessions {
  /** What spark-submit calls an application without {@code --name}. */
  private static final String NO_NAME = Main.class.getName();

  private static final Pattern LOCAL_CLUSTER =
      Pattern.compile("local-cluster\\[\\s*([0-9]{1,5})\\s*,\\s*([0-9]{1,5})\\s*,.*");

  private Sessions() {}

  /**
   * Opens or joins a session. Blocks travel by Kryo with our serializers: set here where nobody
   * chose otherwise, so that a plain spark-submit needs no options.
   */
  static SparkSession open(String command) {
    return open(command, new SparkConf());
  }

  /**
   * As {@link #open}, with all executors that were asked for: a plan made earlier would see fewer
   * slots. Spark waits for {@code spark.scheduler.maxRegisteredResourcesWaitingTime} at most.
   */
  static SparkSession openWhole(String command) {
    SparkConf conf =
        new SparkConf().setIfMissing("spark.scheduler.minRegisteredResourcesRatio", "1.0");
    Matcher cluster = LOCAL_CLUSTER.matcher(conf.get("spark.master", ""));
    if (cluster.matches()) {
      // Else Spark does not know how many cores to wait for.
      int executors = Integer.parseInt(cluster.group(1));
      int cores = Math.multiplyExact(executors, Integer.parseInt(cluster.group(2)));
      conf.setIfMissing("spark.cores.max", Integer.toString(cores));
    }
    return open(command, conf);
  }

  private static SparkSession open(String command, SparkConf given) {
    SparkConf conf =
        given
            .setIfMissing("spark.serializer", KryoSerializer.class.getName())
            .setIfMissing("spark.kryo.registrator", AttentionKryoRegistrator.class.getName());
    if (!conf.contains("spark.app.name") || conf.get("spark.app.name").equals(NO_NAME)) {
      conf.setAppName("spark-attention " + command);
    }
    if (conf.get("spark.master", "").startsWith("local")) {
      // The tasks will run in this JVM: its kernel warms up while Spark starts.
      AttentionKernels.startWarmUp();
    }
    return SparkSession.builder().config(conf).getOrCreate();
  }
}

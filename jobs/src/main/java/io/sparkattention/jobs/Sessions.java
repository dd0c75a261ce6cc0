package io.sparkattention.jobs;

import io.sparkattention.driver.AttentionKryoRegistrator;
import io.sparkattention.kernels.AttentionKernels;
import org.apache.spark.SparkConf;
import org.apache.spark.serializer.KryoSerializer;
import org.apache.spark.sql.SparkSession;

/** The Spark session of a command. */
final class Sessions {
  /** What spark-submit calls an application without {@code --name}. */
  private static final String NO_NAME = Main.class.getName();

  private Sessions() {}

  /**
   * Opens or joins a session. Blocks travel by Kryo with our serializers: set here where nobody
   * chose otherwise, so that a plain spark-submit needs no options.
   */
  static SparkSession open(String command) {
    SparkConf conf =
        new SparkConf()
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

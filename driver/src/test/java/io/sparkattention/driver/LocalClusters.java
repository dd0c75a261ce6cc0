package io.sparkattention.driver;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.spark.SparkConf;

/**
 * Real executor processes on this machine from the test class path alone. The build sets what Spark
 * reads from the environment: {@code SPARK_HOME}, where executors leave their logs below {@code
 * work}, {@code SPARK_SCALA_VERSION} and {@code SPARK_LOCAL_IP}.
 */
public final class LocalClusters {
  private static final int EXECUTOR_MEMORY_MIB = 1024;

  private LocalClusters() {}

  /**
   * The configuration of a cluster of {@code executors} processes with {@code cores} task slots
   * each, for {@code SparkSession.builder().config(…)}; jobs start when all are there. Kryo must
   * know every class: name a registrator or {@code spark.kryo.classesToRegister}.
   */
  public static SparkConf conf(int executors, int cores) {
    String home = System.getenv("SPARK_HOME");
    if (home == null) {
      throw new IllegalStateException("Missing SPARK_HOME: run the test through Maven");
    }
    try {
      // Spark looks for its jars here and finds them on the class path below.
      Files.createDirectories(Path.of(home, "jars"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return new SparkConf()
        .setAppName("test")
        .setMaster("local-cluster[" + executors + "," + cores + "," + EXECUTOR_MEMORY_MIB + "]")
        .set("spark.executor.memory", EXECUTOR_MEMORY_MIB + "m")
        .set("spark.executor.extraClassPath", System.getProperty("java.class.path"))
        .set("spark.scheduler.minRegisteredResourcesRatio", "1.0")
        .set("spark.scheduler.maxRegisteredResourcesWaitingTime", "120s")
        .set("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
        .set("spark.kryo.registrationRequired", "true")
        .set("spark.ui.enabled", "false");
  }
}

package io.sparkattention.driver;

import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;

/** The session of tests inside one JVM: two task slots, strict Kryo. */
public final class LocalSession {
  private LocalSession() {}

  /** Joins the session that is there, or opens one. */
  public static SparkSession get() {
    return SparkSession.builder()
        .master("local[2]")
        .config("spark.ui.enabled", false)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.default.parallelism", 2)
        .config("spark.sql.shuffle.partitions", 2)
        .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
        .config("spark.kryo.registrationRequired", true)
        .config(
            "spark.kryo.registrator",
            AttentionKryoRegistrator.class.getName() + "," + MllibRegistrator.class.getName())
        .getOrCreate();
  }

  /** Releases what results of lazy stages hold until they are collected as garbage. */
  public static void releaseStorage() {
    JavaSparkContext.fromSparkContext(get().sparkContext())
        .getPersistentRDDs()
        .values()
        .forEach(rdd -> rdd.unpersist(true));
    get().catalog().clearCache();
  }

  /** Ends the session that is there, for tests that start a cluster: a JVM has one Spark. */
  public static void stop() {
    if (SparkSession.getDefaultSession().isDefined()) {
      SparkSession.getDefaultSession().get().stop();
    }
  }
}

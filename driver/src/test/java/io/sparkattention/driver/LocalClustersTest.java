package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import java.io.Serializable;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import scala.Tuple2;

/** Two executor processes start, shuffle registered classes, and refuse others. */
class LocalClustersTest {
  private static JavaSparkContext spark;

  /** Known to Kryo. */
  static final class Known implements Serializable {
    private static final long serialVersionUID = 1L;

    final float[] sum;

    Known(float sum) {
      this.sum = new float[] {sum};
    }

    Known plus(Known other) {
      return new Known(sum[0] + other.sum[0]);
    }
  }

  /** Not known to Kryo. */
  static final class Unknown implements Serializable {
    private static final long serialVersionUID = 1L;
  }

  @BeforeAll
  static void start() {
    LocalSession.stop();
    SparkConf conf =
        LocalClusters.conf(2, 1).set("spark.kryo.classesToRegister", Known.class.getName());
    spark = new JavaSparkContext(conf);
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private static List<Integer> numbers() {
    return IntStream.range(0, 100).boxed().toList();
  }

  /** Which executor takes a short task is Spark's choice: asked until both have had one. */
  @Test
  void tasksRunInTwoOtherProcessesWithTheVectorModule() {
    Set<Long> processes = new HashSet<>();
    await()
        .atMost(Duration.ofMinutes(1))
        .until(
            () -> {
              List<Tuple2<Long, Boolean>> tasks = processes();
              assertThat(tasks).hasSize(2).allMatch(Tuple2::_2);
              tasks.forEach(task -> processes.add(task._1()));
              return processes.size() == 2;
            });
    assertThat(processes).doesNotContain(ProcessHandle.current().pid());
  }

  /** For each of two tasks its process and whether that has the Vector API's module. */
  private static List<Tuple2<Long, Boolean>> processes() {
    return spark
        .parallelize(numbers(), 2)
        .glom()
        .map(
            numbers ->
                new Tuple2<>(
                    ProcessHandle.current().pid(),
                    ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent()))
        .collect();
  }

  @Test
  void aRegisteredClassIsShuffled() {
    List<Float> sums =
        spark
            .parallelize(numbers(), 4)
            .mapToPair(number -> new Tuple2<>(number % 2, new Known(number)))
            .reduceByKey(Known::plus, 2)
            .mapToPair(pair -> new Tuple2<>(pair._1(), pair._2().sum[0]))
            .sortByKey()
            .values()
            .collect();
    assertThat(sums).containsExactly(2450f, 2500f);
  }

  @Test
  void anUnregisteredClassIsRefused() {
    assertThatThrownBy(
            () ->
                spark
                    .parallelize(numbers(), 2)
                    .mapToPair(number -> new Tuple2<>(number % 2, new Unknown()))
                    .groupByKey(2)
                    .count())
        .hasMessageContaining("Class is not registered: " + Unknown.class.getName());
  }
}

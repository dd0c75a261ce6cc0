package io.sparkattention.driver.exchange;

import java.util.List;
import org.apache.spark.Partition;
import org.apache.spark.TaskContext;
import org.apache.spark.rdd.RDD;
import scala.collection.Iterator;
import scala.jdk.javaapi.CollectionConverters;

/** An RDD as it is, but for where Spark should compute each of its partitions. */
final class LocatedRdd<T> extends RDD<T> {
  private static final long serialVersionUID = 1L;

  private final RDD<T> parent;

  /** [partitions]: an executor, or null for none; of Spark's driver, where tasks are placed. */
  private final transient String[] executors;

  /**
   * @param executors [partitions]: by the names of {@link ExecutorNames}; null: no matter where
   */
  LocatedRdd(RDD<T> parent, String[] executors) {
    super(parent, parent.elementClassTag());
    this.parent = parent;
    this.executors = executors;
  }

  @Override
  public Partition[] getPartitions() {
    return parent.partitions();
  }

  @Override
  public scala.collection.immutable.Seq<String> getPreferredLocations(Partition partition) {
    String executor = executors[partition.index()];
    return CollectionConverters.asScala(executor == null ? List.<String>of() : List.of(executor))
        .toList();
  }

  @Override
  public Iterator<T> compute(Partition partition, TaskContext context) {
    return parent.iterator(partition, context);
  }
}

package io.sparkattention.driver.exchange;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.Partition;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.rdd.RDD;
import org.apache.spark.storage.RDDBlockId;
import scala.collection.Iterator;

/** Runs in Spark's storage, here or on another executor; a lost one is computed again. */
final class StoredRuns implements RunSource {
  private final RDD<PlacedKeyValues> keyValues;
  private final Partition[] visits;
  private final TaskContext context;
  private final AtomicLong bytesMoved = new AtomicLong();

  /**
   * @param keyValues persisted
   */
  StoredRuns(RDD<PlacedKeyValues> keyValues, Partition[] visits, TaskContext context) {
    this.keyValues = keyValues;
    this.visits = visits;
    this.context = context;
  }

  @Override
  public int visits() {
    return visits.length;
  }

  @Override
  public List<PlacedKeyValues> read(int visit) {
    Partition run = visits[visit];
    boolean here = isHere(keyValues, run);
    List<PlacedKeyValues> blocks = new ArrayList<>();
    Iterator<PlacedKeyValues> iterator = keyValues.iterator(run, context);
    while (iterator.hasNext()) {
      PlacedKeyValues block = iterator.next();
      bytesMoved.addAndGet(here ? 0 : block.bytes());
      blocks.add(block);
    }
    return blocks;
  }

  /** Whether a persisted partition lies in this executor's storage. */
  static boolean isHere(RDD<?> rdd, Partition partition) {
    RDDBlockId id = new RDDBlockId(rdd.id(), partition.index());
    return SparkEnv.get().blockManager().getStatus(id).isDefined();
  }

  @Override
  public long bytesMoved() {
    return bytesMoved.get();
  }
}

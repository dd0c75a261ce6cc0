package io.sparkattention.driver.exchange;

import java.util.List;
import org.apache.spark.SparkEnv;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.storage.BlockManagerMaster;
import org.apache.spark.storage.BlockStatus;
import org.apache.spark.storage.BroadcastBlockId;
import scala.jdk.javaapi.CollectionConverters;

/**
 * What executors have received of broadcast variables. Spark's tasks have no metric of it, but each
 * executor keeps the pieces of a variable that it has fetched, as they were on the wire, until the
 * variable is destroyed, and tells the driver of them.
 */
final class BroadcastBytes {
  private BroadcastBytes() {}

  /** Bytes on all executors that are there; 0 where Spark's driver computes. */
  static long received(List<Broadcast<?>> variables) {
    return variables.stream().mapToLong(BroadcastBytes::received).sum();
  }

  private static long received(Broadcast<?> variable) {
    BlockManagerMaster master = SparkEnv.get().blockManager().master();
    long bytes = 0;
    // The driver has all pieces: where it has none, they have ended.
    for (int piece = 0; ; piece++) {
      BroadcastBlockId id = new BroadcastBlockId(variable.id(), "piece" + piece);
      var holders = CollectionConverters.asJava(master.getBlockStatus(id, false));
      if (holders.isEmpty()) {
        return bytes;
      }
      for (var holder : holders.entrySet()) {
        BlockStatus status = holder.getValue();
        bytes += holder.getKey().isDriver() ? 0 : status.memSize() + status.diskSize();
      }
    }
  }
}

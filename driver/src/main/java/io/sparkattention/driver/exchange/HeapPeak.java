package io.sparkattention.driver.exchange;

import com.sun.management.GarbageCollectionNotificationInfo;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.lang.management.MemoryUsage;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import javax.management.Notification;
import javax.management.NotificationEmitter;
import javax.management.openmbean.CompositeData;

/**
 * The largest use of this JVM's heap right after a garbage collection, which is what had to be in
 * memory; use between collections is mostly what nobody has cleared away yet.
 */
final class HeapPeak {
  private static final AtomicLong PEAK = new AtomicLong();

  private static final Set<String> HEAP_POOLS =
      ManagementFactory.getMemoryPoolMXBeans().stream()
          .filter(pool -> pool.getType() == MemoryType.HEAP)
          .map(MemoryPoolMXBean::getName)
          .collect(Collectors.toUnmodifiableSet());

  static {
    for (GarbageCollectorMXBean collector : ManagementFactory.getGarbageCollectorMXBeans()) {
      if (collector instanceof NotificationEmitter emitter) {
        emitter.addNotificationListener((note, handback) -> record(note), null, null);
      }
    }
  }

  private HeapPeak() {}

  /** Begins to watch; later calls do nothing. */
  static void watch() {
    // Loading the class registers the listeners.
  }

  /** The peak since this JVM began to watch; collects once if nothing was collected yet. */
  static long afterCollection() {
    if (PEAK.get() == 0) {
      System.gc();
      PEAK.accumulateAndGet(
          ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed(), Math::max);
    }
    return PEAK.get();
  }

  private static void record(Notification note) {
    if (note.getType().equals(GarbageCollectionNotificationInfo.GARBAGE_COLLECTION_NOTIFICATION)) {
      Map<String, MemoryUsage> after =
          GarbageCollectionNotificationInfo.from((CompositeData) note.getUserData())
              .getGcInfo()
              .getMemoryUsageAfterGc();
      long used = 0;
      for (Map.Entry<String, MemoryUsage> pool : after.entrySet()) {
        used += HEAP_POOLS.contains(pool.getKey()) ? pool.getValue().getUsed() : 0;
      }
      PEAK.accumulateAndGet(used, Math::max);
    }
  }
}

package io.sparkattention.kernels.benchmark;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;

/** What a measurement counts as time, in nanoseconds from an arbitrary origin. */
enum Clock {
  /** CPU time of the calling thread: what other programs on the machine take is not counted. */
  THREAD {
    @Override
    long nanos() {
      return THREADS.getCurrentThreadCpuTime();
    }
  },
  /** CPU time of all threads of this process. */
  PROCESS {
    @Override
    long nanos() {
      return SYSTEM.getProcessCpuTime();
    }
  },
  /** For work of several threads. */
  WALL {
    @Override
    long nanos() {
      return System.nanoTime();
    }
  };

  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
  private static final OperatingSystemMXBean SYSTEM =
      ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);

  abstract long nanos();
}

package io.sparkattention.partitioning;

import java.util.Comparator;
import java.util.PriorityQueue;

/**
 * The time of a task by parts, in seconds.
 *
 * @param compute the kernel at work
 * @param exposed waiting for bytes, or serialising them
 * @param overhead scheduling, start and result
 */
record TaskTime(double compute, double exposed, double overhead) {
  double seconds() {
    return compute + exposed + overhead;
  }

  TaskTime plus(TaskTime other) {
    return new TaskTime(
        compute + other.compute, exposed + other.exposed, overhead + other.overhead);
  }

  /**
   * When the last task ends: as Spark does, each goes in order to the slot that is free first.
   *
   * @return what the slot that ends last did
   */
  static TaskTime lastSlot(TaskTime[] tasks, int slots) {
    TaskTime last = new TaskTime(0, 0, 0);
    PriorityQueue<TaskTime> busy =
        new PriorityQueue<>(Comparator.comparingDouble(TaskTime::seconds));
    for (TaskTime task : tasks) {
      TaskTime slot = busy.size() < slots ? task : busy.remove().plus(task);
      busy.add(slot);
      last = slot.seconds() > last.seconds() ? slot : last;
    }
    return last;
  }
}

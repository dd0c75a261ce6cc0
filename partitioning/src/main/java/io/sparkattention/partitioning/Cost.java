package io.sparkattention.partitioning;

/**
 * What a way to compute attention is predicted to take. The seconds are those of the slot that ends
 * last: their sum is the wall time.
 *
 * @param prepareSeconds before the first attention task starts: what is sent to all executors
 * @param computeSeconds the kernel at work
 * @param exposedSeconds waiting for bytes that are on their way, or serialising them
 * @param overheadSeconds starting stages and tasks
 * @param bytesMoved between executors
 * @param taskBytes memory of the largest task
 * @param skew largest work of a rank over the mean
 */
public record Cost(
    double prepareSeconds,
    double computeSeconds,
    double exposedSeconds,
    double overheadSeconds,
    double bytesMoved,
    double taskBytes,
    double skew) {

  /** From the first attention task's start to the last one's end, as a report counts. */
  public double attentionSeconds() {
    return computeSeconds + exposedSeconds + overheadSeconds;
  }

  /** All of it. */
  public double seconds() {
    return prepareSeconds + attentionSeconds();
  }

  /** The same with more to wait for. */
  Cost plus(double prepare, double exposed, double overhead, double bytes) {
    return new Cost(
        prepareSeconds + prepare,
        computeSeconds,
        exposedSeconds + exposed,
        overheadSeconds + overhead,
        bytesMoved + bytes,
        taskBytes,
        skew);
  }
}

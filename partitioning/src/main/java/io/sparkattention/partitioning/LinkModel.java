package io.sparkattention.partitioning;

/**
 * An executor's link, out or in: how long bytes take.
 *
 * @param bytesPerSecond of all that passes
 * @param messageSeconds latency of one fetch, beside its bytes
 * @param messageBytes what one fetch brings at most; the next is asked for when it is there
 */
record LinkModel(double bytesPerSecond, double messageSeconds, double messageBytes) {

  /** The latencies of the fetches that bring so many bytes. */
  double latencySeconds(double bytes) {
    return Math.ceil(bytes / messageBytes) * messageSeconds;
  }

  /** From the first request to the last byte where nobody else uses the link. */
  double seconds(double bytes) {
    return bytes / bytesPerSecond + latencySeconds(bytes);
  }
}

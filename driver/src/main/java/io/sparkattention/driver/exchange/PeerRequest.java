package io.sparkattention.driver.exchange;

import java.nio.ByteBuffer;

/**
 * What one rank asks another, in four ints: ranks of another stage, or of another attempt of the
 * same, are strangers, since a port may have been theirs before.
 *
 * @param rank of the one that asks
 * @param run index of a run of keys and values of the other's; −1 asks whether it is there
 */
record PeerRequest(int stage, int attempt, int rank, int run) {
  /** Asks for nothing but an answer. */
  static final int ARE_YOU_THERE = -1;

  ByteBuffer encode() {
    return ByteBuffer.allocate(4 * Integer.BYTES)
        .putInt(stage)
        .putInt(attempt)
        .putInt(rank)
        .putInt(run)
        .flip();
  }

  static PeerRequest decode(ByteBuffer bytes) {
    return new PeerRequest(bytes.getInt(), bytes.getInt(), bytes.getInt(), bytes.getInt());
  }
}

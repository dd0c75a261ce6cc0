package io.sparkattention.driver.exchange;

import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.partitioning.Block;

/**
 * Packed keys and values and the positions that they stand at.
 *
 * @param block sequence and key positions
 */
public record PlacedKeyValues(Block block, KeyValueBlock keyValues) {
  /** Bytes of the keys and values. */
  public long bytes() {
    return keyValues.bytes();
  }
}

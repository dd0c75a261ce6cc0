package io.sparkattention.driver.exchange;

import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.partitioning.Block;

/**
 * Packed queries and the positions that they stand at.
 *
 * @param block sequence and query positions
 */
public record PlacedQueries(Block block, QueryBlock queries) {}

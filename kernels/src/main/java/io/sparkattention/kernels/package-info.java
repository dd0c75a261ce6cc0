/**
 * Attention over one pair of blocks: packed queries, keys and values in, a mergeable attention
 * state out. Sees the JDK only.
 */
package io.sparkattention.kernels;

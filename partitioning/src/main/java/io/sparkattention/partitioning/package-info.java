/**
 * Which positions form a block, which keys a query sees, which rank owns a block and which blocks a
 * rank visits in which order. Sees the JDK only: integers, no float arrays.
 */
package io.sparkattention.partitioning;

/** How partial results meet: blocks on the move, states that merge, the ring and the reduce. */
package io.sparkattention.driver.exchange;

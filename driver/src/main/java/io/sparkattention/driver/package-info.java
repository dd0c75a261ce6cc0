/** Attention over a Spark cluster: the plan, the exchanges, tables and tensors. */
package io.sparkattention.driver;

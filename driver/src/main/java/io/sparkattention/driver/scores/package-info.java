/** What becomes of the scores and weights of a run: softcap, biases, sinks, dropout. */
package io.sparkattention.driver.scores;

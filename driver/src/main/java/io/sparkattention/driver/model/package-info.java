/**
 * Trained encoders and the texts they read: weights, tokenizer, embeddings, projections, attention
 * probabilities.
 *
 * <p>Arrays are row-major; {@code [tokens, hidden]} names their axes, the last one contiguous.
 */
package io.sparkattention.driver.model;

package io.sparkattention.driver.model;

import java.io.Serializable;

/**
 * Last hidden states of consecutive tokens of a document.
 *
 * @param document its index
 * @param ordinal of the piece in its document, from 0
 * @param first position of the first token
 * @param ids [tokens]
 * @param states [tokens, hidden]
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record EncodedPiece(int document, int ordinal, long first, int[] ids, float[] states)
    implements Serializable {

  /** Width of a state. */
  public int hidden() {
    return states.length / ids.length;
  }
}

package io.sparkattention.driver.exchange;

/** A rank of a barrier stage does not answer another; names both, the step and the address. */
final class LostPeerException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  LostPeerException(String message, Throwable cause) {
    super(message, cause);
  }
}

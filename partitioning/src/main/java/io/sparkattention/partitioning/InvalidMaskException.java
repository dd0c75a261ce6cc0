package io.sparkattention.partitioning;

/** A text that is no mask: what was found in it, and where and why it is wrong. */
public final class InvalidMaskException extends IllegalArgumentException {
  private static final long serialVersionUID = 1L;

  private final String found;
  private final String reason;

  InvalidMaskException(String found, String reason) {
    super("Invalid mask: '" + found + "' (" + reason + ")");
    this.found = found;
    this.reason = reason;
  }

  /** The text, of a long one the beginning. */
  public String found() {
    return found;
  }

  /** The place in the text unless it is the whole, the value there, and what is expected. */
  public String reason() {
    return reason;
  }
}

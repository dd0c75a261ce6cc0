package io.sparkattention.kernels;

/**
 * A number that attention cannot use: a query, key or value that is not finite, a value too large
 * to be summed, or a score out of range. The row is local to its block; whoever knows the block
 * adds the sequence and the position.
 */
public final class InvalidElementException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final String what;
  private final int head;
  private final int row;
  private final float value;
  private final String expected;

  /**
   * @param what the kind of number: query, key, value, score or bias
   * @param head its head (key/value head for keys and values)
   * @param row its row in the block
   * @param value the value found
   * @param expected the values that are allowed
   */
  public InvalidElementException(String what, int head, int row, float value, String expected) {
    super(
        "Invalid %s in head %d, row %d: %s (expected %s)"
            .formatted(what, head, row, value, expected));
    this.what = what;
    this.head = head;
    this.row = row;
    this.value = value;
    this.expected = expected;
  }

  public String what() {
    return what;
  }

  public int head() {
    return head;
  }

  public int row() {
    return row;
  }

  public float value() {
    return value;
  }

  public String expected() {
    return expected;
  }
}

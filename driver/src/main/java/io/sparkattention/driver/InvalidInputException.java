package io.sparkattention.driver;

import io.sparkattention.kernels.InvalidElementException;
import java.util.Locale;

/**
 * The input or the options are wrong: the command line exits with status 2. The message is one
 * sentence for a person: what, the value found, the value expected, the remedy.
 */
public final class InvalidInputException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** Keys and values up to here, 2^127 over the tokens of the largest block, fit into float32. */
  private static final float FLOAT32_ENOUGH = 0x1p111f;

  private static final double LN_2 = Math.log(2);

  public InvalidInputException(String message) {
    super(message);
  }

  public InvalidInputException(String message, Throwable cause) {
    super(message, cause);
  }

  /**
   * Names the sequence and the position of a number that the kernel refused.
   *
   * @param firstPosition position of row 0 of the block
   */
  public static InvalidInputException of(
      InvalidElementException e, String sequence, long firstPosition) {
    String found = Float.toString(e.value());
    String expected = e.expected() + "; correct the input";
    if (e.what().equals("score")) {
      // The kernel counts in units of log2; users know the natural scores.
      found = String.format(Locale.ROOT, "%.4g", e.value() * LN_2);
      expected = "between -2.9e6 and 2.9e6; make the queries and keys or --scale smaller";
    } else if (e.what().equals("query") && Float.isFinite(e.value())) {
      found += ", which --scale takes out of float32's range";
      expected = "a smaller number; make the queries or --scale smaller";
    } else if (e.what().equals("bias")) {
      expected = e.expected() + "; correct the function of positions";
    } else if (Math.abs(e.value()) <= FLOAT32_ENOUGH) {
      expected = e.expected() + "; correct the input or choose --key-value-type f32";
    }
    return new InvalidInputException(
        "Invalid %s in sequence '%s', head %d, position %d: found %s, expected %s"
            .formatted(e.what(), sequence, e.head(), firstPosition + e.row(), found, expected),
        e);
  }
}

package io.sparkattention.driver.exchange;

/**
 * Where a rank serves its keys and values.
 *
 * @param executor Spark's id of its executor
 */
record PeerAddress(String executor, String host, int port) {
  private static final String SEPARATOR = "\n";

  /** For {@link Rendezvous}, which carries texts. */
  String encode() {
    return String.join(SEPARATOR, executor, host, Integer.toString(port));
  }

  static PeerAddress decode(String text) {
    String[] parts = text.split(SEPARATOR, -1);
    return new PeerAddress(parts[0], parts[1], Integer.parseInt(parts[2]));
  }

  @Override
  public String toString() {
    return host + ":" + port + " (executor " + executor + ")";
  }
}

package io.sparkattention.kernels.benchmark;

/** One way of doing a piece of work, with everything prepared, timed against other ways. */
interface Contestant extends AutoCloseable {
  String name();

  /** Does the work once. */
  void run();

  /** Does the work once and returns the attention output, [numHeads, queries, valueDim]. */
  default float[] output() {
    throw new UnsupportedOperationException(name() + " has no attention output");
  }

  @Override
  default void close() {}

  /** A contestant that has no output to compare and nothing to close. */
  static Contestant of(String name, Runnable work) {
    return new Contestant() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public void run() {
        work.run();
      }
    };
  }
}

package io.sparkattention.kernels;

import java.util.concurrent.atomic.DoubleAdder;

/** Chooses the kernel of this JVM, once. */
public final class AttentionKernels {
  private static final String VECTOR_MODULE = "jdk.incubator.vector";

  /**
   * A kernel and why it was taken.
   *
   * @param reason one clause for a log line or a report
   */
  public record Choice(AttentionKernel kernel, String reason) {}

  private static final Choice AUTO = choose();

  private AttentionKernels() {}

  /** The fastest kernel that this JVM can run. All kernels give the same bits. */
  public static Choice auto() {
    return AUTO;
  }

  /**
   * The kernel of that name.
   *
   * @param name {@code auto}, {@code vector} or {@code scalar}
   * @throws IllegalArgumentException if there is none, or this JVM cannot run it
   */
  public static Choice named(String name) {
    return switch (name) {
      case "auto" -> AUTO;
      case "scalar" -> new Choice(new ScalarAttentionKernel(), "asked for by name");
      case "vector" -> {
        if (!hasVectorApi()) {
          throw new IllegalArgumentException(
              "Cannot run the vector kernel: the JVM was started without --add-modules="
                  + VECTOR_MODULE);
        }
        yield new Choice(vectorKernel(), "asked for by name");
      }
      default ->
          throw new IllegalArgumentException(
              "Invalid kernel: '%s' (expected auto, vector or scalar)".formatted(name));
    };
  }

  /**
   * The float32 multiply-add peak of a core in GFLOP/s, measured for about {@code seconds}; NaN
   * without the Vector API, where there is nothing to measure it with.
   *
   * @param threads threads that measure at the same time, the calling one among them; the mean of
   *     what they find
   */
  public static double measurePeak(double seconds, int threads) {
    if (!hasVectorApi()) {
      return Double.NaN;
    }
    DoubleAdder sum = new DoubleAdder();
    FoldThreads.runAll(threads, () -> sum.add(FmaPeak.measure(seconds)));
    return sum.sum() / threads;
  }

  private static Choice choose() {
    if (!hasVectorApi()) {
      return new Choice(
          new ScalarAttentionKernel(),
          "the JVM was started without --add-modules=" + VECTOR_MODULE + ", far slower");
    }
    AttentionKernel kernel = vectorKernel();
    return new Choice(kernel, "the Vector API is there and prefers this width");
  }

  private static boolean hasVectorApi() {
    return ModuleLayer.boot().findModule(VECTOR_MODULE).isPresent();
  }

  /** Apart, so that the class that needs the module is loaded only where the module is there. */
  private static AttentionKernel vectorKernel() {
    return new VectorAttentionKernel();
  }
}

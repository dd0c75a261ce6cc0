package io.sparkattention.kernels;

import java.util.Locale;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.DoubleAdder;

/** Chooses the kernel of this JVM, once. */
public final class AttentionKernels {
  private static final String VECTOR_MODULE = "jdk.incubator.vector";

  /**
   * A kernel and why it was taken.
   *
   * @param reason one clause for a log line or a report
   * @param slow whether this JVM does not run the kernel, or any, as fast as its CPU could
   */
  public record Choice(AttentionKernel kernel, String reason, boolean slow) {}

  private static final AtomicBoolean WARMED_UP = new AtomicBoolean();
  private static volatile Choice auto = choose();

  private AttentionKernels() {}

  /**
   * The fastest kernel that this JVM can run, as far as it is known: {@link #warmUp} may find that
   * it is another. All kernels give the same bits.
   */
  public static Choice auto() {
    return auto;
  }

  /**
   * Has the kernel compiled before it is needed and tests what came of it, in a thread of its own,
   * a second or two long. The first call does, others do nothing.
   */
  public static void startWarmUp() {
    if (WARMED_UP.compareAndSet(false, true)) {
      Thread thread = new Thread(AttentionKernels::warmUp, "attention-warm-up");
      thread.setDaemon(true);
      thread.start();
    }
  }

  /**
   * Compiles and tests the kernel of {@link #auto}; if it is compiled badly, the faster one stays.
   */
  static Choice warmUp() {
    Choice chosen = auto;
    KernelTrial trial = KernelTrial.run(chosen.kernel());
    if (!trial.isCompiledWell()) {
      AttentionKernel scalar = new ScalarAttentionKernel();
      KernelTrial scalarTrial = KernelTrial.run(scalar);
      String reason =
          String.format(
              Locale.ROOT,
              "this JVM makes objects of vectors (%.0f bytes in 1000 multiply-adds): %s runs at"
                  + " %.1f GFLOP/s, scalar at %.1f",
              trial.allocated(),
              trial.name(),
              trial.gflops(),
              scalarTrial.gflops());
      boolean faster = scalarTrial.gflops() > trial.gflops();
      auto = new Choice(faster ? scalar : chosen.kernel(), reason, true);
    }
    return auto;
  }

  /**
   * The kernel of that name.
   *
   * @param name {@code auto}, {@code vector} or {@code scalar}
   * @throws IllegalArgumentException if there is none, or this JVM cannot run it
   */
  public static Choice named(String name) {
    return switch (name) {
      case "auto" -> auto;
      case "scalar" -> new Choice(new ScalarAttentionKernel(), "asked for by name", false);
      case "vector" -> {
        if (!hasVectorApi()) {
          throw new IllegalArgumentException(
              "Cannot run the vector kernel: the JVM was started without --add-modules="
                  + VECTOR_MODULE);
        }
        yield new Choice(vectorKernel(), "asked for by name", false);
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
    AttentionKernel scalar = new ScalarAttentionKernel();
    if (!hasVectorApi()) {
      return new Choice(scalar, "the JVM was started without --add-modules=" + VECTOR_MODULE, true);
    }
    AttentionKernel vector = vectorKernel();
    if (!KernelTrial.sameBits(vector, scalar)) {
      return new Choice(
          scalar, vector.name() + " computes other bits in this JVM, which is a bug of it", true);
    }
    return new Choice(vector, "the Vector API is there and prefers this width", false);
  }

  private static boolean hasVectorApi() {
    return ModuleLayer.boot().findModule(VECTOR_MODULE).isPresent();
  }

  /** Apart, so that the class that needs the module is loaded only where the module is there. */
  private static AttentionKernel vectorKernel() {
    return new VectorAttentionKernel();
  }
}

package io.sparkattention.kernels.benchmark;

import ai.onnxruntime.OrtEnvironment;
import io.sparkattention.kernels.AttentionKernels;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;

/** Where and with what the benchmark runs. */
final class Machine {
  private static final Path CPU_INFO = Path.of("/proc/cpuinfo");

  private Machine() {}

  static String describe() {
    AttentionKernels.Choice choice = AttentionKernels.auto();
    return """
        Kernel benchmark, %s
        CPU     %s
        JDK     %s (%s)
        kernel  %s: %s
        peers   PyTorch %s, ONNX Runtime %s, one thread each, in the widest vectors of the CPU

        Each round measures, one after another in one process, the multiply-add peak of the core, our kernel, and
        the peers on the same inputs, by CPU time of the thread. Speeds are medians of the rounds, ratios are
        medians of each round's ratio. FLOPs = 2 · unmasked pairs · (keyDim + valueDim) · heads. Our time: states
        of blocks of %d tokens made, folded and finished; blocks packed before, as their owner does once."""
        .formatted(
            LocalDate.now(ZoneOffset.UTC),
            cpu(),
            Runtime.version(),
            System.getProperty("java.vendor"),
            choice.kernel().name(),
            choice.reason(),
            TorchContestant.version(),
            OrtEnvironment.getEnvironment().getVersion(),
            KernelContestant.BLOCK_TOKENS);
  }

  /** The CPU's name where the system tells it. */
  private static String cpu() {
    if (!Files.isReadable(CPU_INFO)) {
      return System.getProperty("os.arch");
    }
    try {
      return Files.readAllLines(CPU_INFO, StandardCharsets.UTF_8).stream()
          .filter(line -> line.startsWith("model name"))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst()
          .orElse(System.getProperty("os.arch"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

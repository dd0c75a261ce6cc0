package io.sparkattention.kernels.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The text for people and the summary for programs. Printed while it grows. */
final class Report {
  private static final String SUMMARY_HEADER =
      "n,head_dim,mask,threads,gflops,peak_share,vs_pytorch,vs_onnxruntime";

  private final StringBuilder text = new StringBuilder();
  private final List<String> summary = new ArrayList<>(List.of(SUMMARY_HEADER));

  void add(String paragraph) {
    String block = paragraph.stripTrailing() + "\n\n";
    text.append(block);
    System.out.print(block);
    System.out.flush();
  }

  /**
   * A line of the summary.
   *
   * @param ratios over PyTorch and over ONNX Runtime; NaN leaves the cell empty
   */
  void summarize(Shape shape, int threads, double gflops, double peakShare, double... ratios) {
    StringBuilder line = new StringBuilder();
    line.append(
        String.format(
            Locale.ROOT,
            "%d,%d,%s,%d,%.2f,%.4f",
            shape.queries(),
            shape.layout().keyDim(),
            shape.mask().name(),
            threads,
            gflops,
            peakShare));
    for (double ratio : ratios) {
      line.append(',').append(Double.isNaN(ratio) ? "" : String.format(Locale.ROOT, "%.3f", ratio));
    }
    summary.add(line.toString());
  }

  void writeText(Path file) throws IOException {
    Files.createDirectories(file.getParent());
    Files.writeString(file, text.toString().stripTrailing() + "\n");
  }

  void writeSummary(Path file) throws IOException {
    Files.createDirectories(file.getParent());
    Files.writeString(file, String.join("\n", summary) + "\n");
  }
}

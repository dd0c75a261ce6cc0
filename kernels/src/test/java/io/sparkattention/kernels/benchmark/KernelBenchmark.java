package io.sparkattention.kernels.benchmark;

import static io.sparkattention.kernels.benchmark.TextTable.number;

import io.sparkattention.kernels.AttentionKernels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Makes the tables of the module's README, all in one process. System properties: {@code
 * bench.quick} for the shapes of the gate only, in few rounds; {@code bench.tables} for some of the
 * tables, by name, separated by commas.
 */
public final class KernelBenchmark {
  private static final int[] GATE_TOKENS = {4096, 16384};
  private static final int[] GATE_HEAD_DIMS = {64, 128};

  /** From here on a round takes seconds and fewer of them do. */
  private static final int LONG = 16384;

  private static final int WARM_UP_TOKENS = 2048;
  private static final double WARM_UP_SECONDS = 5;

  private final boolean quick;
  private final Report report = new Report();

  /** Name to table, in the order of the report. */
  private final Map<String, Runnable> tables = new LinkedHashMap<>();

  private KernelBenchmark(boolean quick) {
    this.quick = quick;
    tables.put("gate", this::gate);
    tables.put("shapes", this::shapes);
    tables.put("decode", this::decode);
    tables.put("threads", this::threads);
    tables.put("elements", this::elements);
    tables.put("scores", this::scores);
    tables.put("parts", this::parts);
    tables.put("dense", this::dense);
    tables.put("scalar", this::scalar);
    tables.put("cliffs", this::cliffs);
    tables.put("accuracy", this::accuracy);
  }

  /**
   * Makes the tables, prints them and writes them.
   *
   * @param args the folder for this run's files, and the one that receives the text of a full run
   */
  public static void main(String[] args) throws IOException {
    Path results = Path.of(args[0]);
    boolean quick = Boolean.getBoolean("bench.quick");
    String chosen = System.getProperty("bench.tables", "");
    TorchContestant.configure(results.resolve("djl"));
    KernelBenchmark benchmark = new KernelBenchmark(quick);
    Set<String> names =
        !chosen.isEmpty()
            ? Set.of(chosen.split(","))
            : quick ? Set.of("gate", "threads") : benchmark.tables.keySet();
    benchmark.run(names);

    Path text = results.resolve(fileName());
    benchmark.report.writeText(text);
    benchmark.report.writeSummary(results.resolve("summary.csv"));
    if (!quick && names.containsAll(benchmark.tables.keySet())) {
      Files.createDirectories(Path.of(args[1]));
      Files.copy(text, Path.of(args[1]).resolve(fileName()), StandardCopyOption.REPLACE_EXISTING);
    }
  }

  /** JDK and kernel, whose name tells the width of its vectors. */
  private static String fileName() {
    return "jdk%d-%s.txt"
        .formatted(Runtime.version().feature(), AttentionKernels.auto().kernel().name());
  }

  private void run(Set<String> names) {
    for (String name : names) {
      if (!tables.containsKey(name)) {
        throw new IllegalArgumentException(
            "Invalid table: '%s' (expected some of %s)".formatted(name, tables.keySet()));
      }
    }
    report.add(Machine.describe());
    warmUp();
    tables.forEach(
        (name, table) -> {
          if (names.contains(name)) {
            table.run();
          }
        });
  }

  /**
   * Until the kernel is compiled as it will stay, over masks and head sizes together: compiled for
   * the first of them alone, it would be compiled again in the middle of the second.
   */
  private static void warmUp() {
    List<KernelContestant> contestants =
        Stream.of(Mask.FULL, Mask.CAUSAL)
            .flatMap(
                mask ->
                    IntStream.of(GATE_HEAD_DIMS).mapToObj(d -> Shape.of(WARM_UP_TOKENS, d, mask)))
            .map(s -> new KernelContestant(AttentionKernels.auto().kernel(), s.draw(), s.mask()))
            .toList();
    long begin = Clock.THREAD.nanos();
    while ((Clock.THREAD.nanos() - begin) * 1e-9 < WARM_UP_SECONDS) {
      contestants.forEach(KernelContestant::run);
    }
  }

  private int rounds(int tokens) {
    return tokens >= LONG ? quick ? 7 : 11 : quick ? 11 : 21;
  }

  private void gate() {
    ShapeTable table = new ShapeTable(report);
    for (int tokens : GATE_TOKENS) {
      for (Mask mask : List.of(Mask.FULL, Mask.CAUSAL)) {
        for (int headDim : GATE_HEAD_DIMS) {
          table.measure(Shape.of(tokens, headDim, mask), rounds(tokens));
        }
      }
    }
    report.add("Gate\n\n" + table);
  }

  /** Head sizes that are no power of two, grouped heads, a window, short sequences. */
  private void shapes() {
    ShapeTable table = new ShapeTable(report);
    for (Mask mask : List.of(Mask.FULL, Mask.CAUSAL)) {
      for (int headDim : new int[] {32, 80, 96, 256}) {
        table.measure(Shape.of(4096, headDim, mask), rounds(4096));
      }
      table.measure(Shape.of(32, 8, 2048, 128, mask), rounds(LONG));
      for (int tokens : new int[] {128, 512}) {
        table.measure(Shape.of(32, 32, tokens, 64, mask), rounds(tokens));
      }
    }
    for (int headDim : GATE_HEAD_DIMS) {
      table.measure(Shape.of(LONG, headDim, Mask.slidingWindow(1023)), rounds(LONG));
    }
    report.add("Other shapes\n\n" + table);
  }

  private void decode() {
    report.add(
        "A decode step: one query; bytes are those of the keys and values\n\n"
            + DecodeTable.measure(GATE_HEAD_DIMS, rounds(LONG)));
  }

  private void threads() {
    ThreadTable table = new ThreadTable(report);
    for (Mask mask : List.of(Mask.FULL, Mask.CAUSAL)) {
      for (int headDim : GATE_HEAD_DIMS) {
        table.measure(Shape.of(GATE_TOKENS[0], headDim, mask), rounds(LONG));
      }
    }
    report.add("Two threads in a task, GFLOP/s by wall time\n\n" + table);
  }

  private void elements() {
    report.add(
        "Keys and values in 16 bits\n\n" + ElementTable.measure(GATE_HEAD_DIMS, rounds(4096)));
  }

  private void scores() {
    report.add(
        "Score functions and dropout\n\n" + ScoreTable.measure(GATE_HEAD_DIMS, rounds(4096)));
  }

  private void parts() {
    report.add(
        "Parts beside the inner loops, one head, blocks of %d\n\n%s"
            .formatted(
                KernelContestant.BLOCK_TOKENS, PartsTable.measure(GATE_HEAD_DIMS, rounds(4096))));
  }

  private void dense() {
    report.add("Dense layers\n\n" + DenseTable.measure(rounds(4096)));
  }

  /** What a JVM without the Vector API gets. */
  private void scalar() {
    TextTable table = new TextTable(1, "mask", "n", "headDim", "GFLOP/s", "of peak");
    for (Mask mask : List.of(Mask.FULL, Mask.CAUSAL)) {
      Shape shape = Shape.of(WARM_UP_TOKENS, 64, mask);
      Contestant contestant =
          new KernelContestant(AttentionKernels.named("scalar").kernel(), shape.draw(), mask);
      Rounds measured = Interleaved.measure(List.of(contestant), rounds(LONG));
      table.row(
          mask.name(),
          Integer.toString(shape.queries()),
          Integer.toString(shape.layout().keyDim()),
          number(measured.gflops(0, shape.flops()), 2),
          number(100 * measured.peakShare(0, shape.flops()), 1) + " %");
    }
    report.add("The scalar kernel\n\n" + table);
  }

  private void cliffs() {
    report.add(
        "Neighbouring shapes\n\n%s\n%s"
            .formatted(CliffTable.measure(Mask.FULL), CliffTable.measure(Mask.CAUSAL)));
  }

  private void accuracy() {
    report.add("Distance from float64\n\n" + AccuracyTable.measure());
  }
}

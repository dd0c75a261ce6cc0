package io.sparkattention.jobs.scale;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * The cluster that an experiment runs on.
 *
 * @param label what results and plots call it
 * @param slots tasks that it runs at once
 * @param taskCpus cores of a task
 * @param cpu model of the executors' processors, where the system tells
 * @param java version of the executors' JVMs
 */
record Cluster(String label, String master, int slots, int taskCpus, String cpu, String java) {
  private static final Path CPU_INFO = Path.of("/proc/cpuinfo");
  private static final String MODEL = "model name";

  /**
   * Asks the executors.
   *
   * @param label null: the master, and the slots where the master does not tell them
   */
  static Cluster of(JavaSparkContext context, String label) {
    int taskCpus = context.getConf().getInt("spark.task.cpus", 1);
    int slots = Math.max(1, context.defaultParallelism() / taskCpus);
    String master = context.master();
    String name = master.startsWith("local") ? master : master + " (" + slots + " slots)";
    List<Integer> tasks = Collections.nCopies(slots, 0);
    return new Cluster(
        label == null ? name : label,
        master,
        slots,
        taskCpus,
        joined(context.parallelize(tasks, slots).map(task -> readCpu()).collect()),
        joined(context.parallelize(tasks, slots).map(task -> javaVersion()).collect()));
  }

  private static String joined(List<String> values) {
    return String.join(" + ", new TreeSet<>(values));
  }

  private static String javaVersion() {
    return System.getProperty("java.version");
  }

  private static String readCpu() {
    try (Stream<String> lines = Files.lines(CPU_INFO)) {
      return lines
          .filter(line -> line.startsWith(MODEL))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .distinct()
          .collect(Collectors.joining(" + "));
    } catch (IOException e) {
      // Not Linux.
      return System.getProperty("os.arch");
    }
  }
}

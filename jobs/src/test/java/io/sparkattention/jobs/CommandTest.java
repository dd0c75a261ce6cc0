package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.AttentionKryoRegistrator;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** Commands in process, in a session with two task slots and strict Kryo. */
abstract class CommandTest {
  static SparkSession spark;

  @TempDir Path folder;

  final StringWriter out = new StringWriter();
  final StringWriter err = new StringWriter();

  @BeforeAll
  static void startSpark() {
    spark =
        SparkSession.builder()
            .master("local[2]")
            .config("spark.ui.enabled", false)
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.sql.shuffle.partitions", 2)
            .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
            .config("spark.kryo.registrationRequired", true)
            .config("spark.kryo.registrator", AttentionKryoRegistrator.class.getName())
            .getOrCreate();
  }

  @AfterAll
  static void stopSpark() {
    spark.stop();
  }

  /** Runs a command line and returns its exit status. */
  final int run(Object... arguments) {
    CommandLine root = Main.commandLine();
    // Buffered, as the standard streams are.
    root.setOut(new PrintWriter(new BufferedWriter(out), true));
    root.setErr(new PrintWriter(new BufferedWriter(err), true));
    return Main.run(root, Arrays.stream(arguments).map(Object::toString).toArray(String[]::new));
  }

  /** Exit status 2, the one line, and nothing else: no output, no leftovers, no kept data. */
  final void assertRefused(String message, Object... arguments) {
    Map<String, Integer> before = files();
    int status = run(arguments);
    assertThat(err.toString().lines()).containsExactly("error: " + message);
    assertThat(status).isEqualTo(2);
    assertThat(out.toString()).isEmpty();
    assertThat(files()).isEqualTo(before);
    assertThat(spark.sparkContext().getPersistentRDDs().size()).isZero();
  }

  /** All files and folders of the test's folder with a hash of their content. */
  private Map<String, Integer> files() {
    Map<String, Integer> files = new TreeMap<>();
    try (Stream<Path> found = Files.walk(folder)) {
      for (Path path : found.toList()) {
        int content = Files.isDirectory(path) ? 0 : Arrays.hashCode(Files.readAllBytes(path));
        files.put(folder.relativize(path).toString(), content);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return files;
  }

  /** A path in the test's folder. */
  final Path at(String name) {
    return folder.resolve(name);
  }
}

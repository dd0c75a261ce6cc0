package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparkattention.driver.InvalidInputException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.concurrent.Callable;
import org.apache.spark.SparkException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

class MainTest {
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @Command(name = "sample", description = "Does what the test says.")
  static final class SampleCommand implements Callable<Integer> {
    private final Callable<Integer> work;

    @Option(names = "--mask", description = "A mask.")
    private String mask;

    @Option(names = "--shards", description = "A count.")
    private int shards;

    SampleCommand(Callable<Integer> work) {
      this.work = work;
    }

    @Override
    public Integer call() throws Exception {
      return work.call();
    }
  }

  private int run(Callable<Integer> work, String... args) {
    CommandLine root = Main.commandLine().addSubcommand(new SampleCommand(work));
    root.setOut(new PrintWriter(out));
    root.setErr(new PrintWriter(err));
    return Main.run(root, args);
  }

  private int run(String... args) {
    return run(() -> 0, args);
  }

  private int runThrowing(Throwable thrown, String... args) {
    return run(
        () -> {
          if (thrown instanceof Error error) {
            throw error;
          }
          throw (Exception) thrown;
        },
        args);
  }

  private void assertError(String message) {
    assertThat(err.toString().lines()).containsExactly("error: " + message);
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void aCommandThatSucceedsPrintsNothing() {
    assertThat(run("sample", "--mask", "full", "--verbose")).isZero();
    assertThat(err.toString()).isEmpty();
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void wrongInputIsStatusTwoWithItsOwnMessage() {
    assertThat(runThrowing(new InvalidInputException("Invalid mask: 'x'"), "sample")).isEqualTo(2);
    assertError("Invalid mask: 'x'");
  }

  @Test
  void wrongInputIsFoundInsideWhatSparkWraps() {
    InvalidInputException reason =
        new InvalidInputException("Invalid key:\n  NaN in sequence 0,\r\n position 7\n");
    SparkException wrapped =
        new SparkException(
            "Job aborted due to stage failure: Lost task\n\tat x", new RuntimeException(reason));
    assertThat(runThrowing(wrapped, "sample")).isEqualTo(2);
    assertError("Invalid key: NaN in sequence 0, position 7");
  }

  @Test
  void aFailedRunIsStatusOneWithTheFirstLineOfItsRoot() {
    SparkException root = new SparkException("Task 0 failed: disk full\n\tat a.b.C", null);
    assertThat(runThrowing(new IllegalStateException("outer", root), "sample")).isEqualTo(1);
    assertError(
        "The run failed: SparkException: Task 0 failed: disk full (--verbose shows the stack"
            + " trace)");
  }

  @Test
  void aCircularChainOfCausesEnds() {
    RuntimeException first = new RuntimeException("first");
    first.initCause(new IllegalStateException("second", first));
    assertThat(runThrowing(first, "sample")).isEqualTo(1);
    assertError("The run failed: IllegalStateException: second (--verbose shows the stack trace)");
  }

  @Test
  void errorsOfTheJvmAreFailedRuns() {
    assertThat(runThrowing(new OutOfMemoryError(), "sample")).isEqualTo(1);
    assertError("The run failed: OutOfMemoryError (--verbose shows the stack trace)");
  }

  @Test
  void anyOtherErrorIsAFailedRunToo() {
    assertThat(runThrowing(new AssertionError("broken"), "sample")).isEqualTo(1);
    assertError("The run failed: AssertionError: broken (--verbose shows the stack trace)");
  }

  @Test
  void verbosePutsTheStackTraceBeforeTheLine() {
    InvalidInputException wrong = new InvalidInputException("Invalid mask: 'x'");
    assertThat(runThrowing(wrong, "sample", "--verbose")).isEqualTo(2);
    assertThat(err.toString())
        .startsWith(InvalidInputException.class.getName())
        .contains("\tat ")
        .endsWith("error: Invalid mask: 'x'" + System.lineSeparator());
    assertThat(err.toString().lines().filter(line -> line.startsWith("error: "))).hasSize(1);
  }

  @Test
  void anUnknownCommandNamesTheNearest() {
    assertThat(run("sampel", "--mask", "full")).isEqualTo(2);
    assertError("Unknown command 'sampel' of spark-attention: did you mean 'sample'?");
  }

  @Test
  void anUnknownOptionNamesTheNearest() {
    assertThat(run("sample", "--maks", "full")).isEqualTo(2);
    assertError("Unknown option '--maks' of spark-attention sample: did you mean '--mask'?");
  }

  @Test
  void aSurplusArgumentIsNamed() {
    assertThat(run("sample", "0123")).isEqualTo(2);
    assertError(
        "Unknown argument '0123' of spark-attention sample: 'spark-attention sample --help' lists"
            + " what it takes");
  }

  @Test
  void aValueOfTheWrongKindIsOneLine() {
    assertThat(run("sample", "--shards", "many")).isEqualTo(2);
    assertError(
        "Invalid value for option '--shards': 'many' is not an int; 'spark-attention sample --help'"
            + " lists what it takes");
  }

  @Test
  void aMissingCommandIsStatusTwo() {
    assertThat(run()).isEqualTo(2);
    assertError("Missing required subcommand; 'spark-attention --help' lists what it takes");
  }

  @Test
  void aCommandsOwnParameterErrorIsStatusTwo() {
    CommandLine anyCommand = new CommandLine(new SampleCommand(() -> 0));
    assertThat(
            runThrowing(new ParameterException(anyCommand, "Invalid pair\nof options"), "sample"))
        .isEqualTo(2);
    assertError("Invalid pair of options; 'sample --help' lists what it takes");
  }

  @ParameterizedTest
  @ValueSource(strings = {"--help", "--version"})
  void helpAndVersionSucceed(String option) {
    assertThat(run(option)).isZero();
    assertThat(run("sample", option)).isZero();
    assertThat(out.toString()).contains("spark-attention");
    assertThat(err.toString()).isEmpty();
  }

  @Test
  void helpOfACommandListsItsOptions() {
    assertThat(run("sample", "--help")).isZero();
    assertThat(out.toString()).contains("--mask", "--verbose", "Does what the test says.");
  }
}

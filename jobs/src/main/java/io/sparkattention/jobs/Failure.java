package io.sparkattention.jobs;

import io.sparkattention.driver.InvalidInputException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** What a thrown error means at the command line: an exit status and one line of text. */
final class Failure {
  static final int RUN_FAILED = 1;
  static final int INPUT_OR_OPTIONS_WRONG = 2;

  private final Throwable thrown;
  private final int status;
  private final String message;

  private Failure(Throwable thrown, int status, String message) {
    this.thrown = thrown;
    this.status = status;
    this.message = message;
  }

  static Failure of(Throwable thrown) {
    List<Throwable> causes = causes(thrown);
    // Spark wraps what a task threw, and picocli what a converter threw: the reason is inside.
    for (Throwable cause : causes) {
      if (cause instanceof InvalidInputException) {
        return new Failure(thrown, INPUT_OR_OPTIONS_WRONG, oneLine(cause.getMessage()));
      }
    }
    if (thrown instanceof UnmatchedArgumentException unmatched) {
      return new Failure(thrown, INPUT_OR_OPTIONS_WRONG, unknown(unmatched));
    }
    if (thrown instanceof ParameterException wrong) {
      String command = wrong.getCommandLine().getCommandSpec().qualifiedName();
      String text = oneLine(wrong.getMessage()) + "; '" + command + " --help' lists what it takes";
      return new Failure(thrown, INPUT_OR_OPTIONS_WRONG, text);
    }
    return new Failure(thrown, RUN_FAILED, runFailed(causes.get(causes.size() - 1)));
  }

  /** Prints the line, after the stack trace where it is asked for, and returns the exit status. */
  int print(PrintWriter err, boolean verbose) {
    if (verbose) {
      thrown.printStackTrace(err);
    }
    err.println("error: " + message);
    err.flush();
    return status;
  }

  private static List<Throwable> causes(Throwable thrown) {
    // A chain of causes may be circular.
    Set<Throwable> seen = Collections.newSetFromMap(new IdentityHashMap<>());
    List<Throwable> causes = new ArrayList<>();
    for (Throwable cause = thrown; cause != null && seen.add(cause); cause = cause.getCause()) {
      causes.add(cause);
    }
    return causes;
  }

  private static String unknown(UnmatchedArgumentException unmatched) {
    CommandSpec spec = unmatched.getCommandLine().getCommandSpec();
    String found = unmatched.getUnmatched().get(0);
    boolean option = found.startsWith("-");
    List<String> near = unmatched.getSuggestions();
    String remedy =
        near.isEmpty()
            ? "'" + spec.qualifiedName() + " --help' lists what it takes"
            : "did you mean '" + near.get(0) + "'?";
    String what = option ? "option" : spec.subcommands().isEmpty() ? "argument" : "command";
    return oneLine(
        "Unknown " + what + " '" + found + "' of " + spec.qualifiedName() + ": " + remedy);
  }

  private static String runFailed(Throwable root) {
    String message = root.getMessage() == null ? "" : root.getMessage().strip();
    String first = message.lines().findFirst().orElse("");
    String text = first.isEmpty() ? "" : ": " + first;
    return "The run failed: "
        + root.getClass().getSimpleName()
        + text
        + " (--verbose shows the stack trace)";
  }

  private static String oneLine(String message) {
    return message == null ? "" : message.strip().replaceAll("\\s*\\R\\s*", " ");
  }
}

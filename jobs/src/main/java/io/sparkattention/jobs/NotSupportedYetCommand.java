package io.sparkattention.jobs;

import io.sparkattention.driver.InvalidInputException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;
import picocli.CommandLine.Unmatched;

/** Stands for a command whose name is promised and whose work is not built: always an error. */
@Command(description = "Not supported yet.")
final class NotSupportedYetCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  /** Whatever follows the name; an unknown option is not what is wrong here. */
  @Unmatched private List<String> rest;

  @Override
  public Integer call() {
    throw new InvalidInputException("Cannot run '" + spec.name() + "': not supported yet");
  }
}

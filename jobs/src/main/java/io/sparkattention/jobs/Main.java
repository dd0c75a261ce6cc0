package io.sparkattention.jobs;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

/**
 * The command line: {@code spark-submit --class io.sparkattention.jobs.Main spark-attention.jar
 * COMMAND [options]}.
 *
 * <p>Exit status: 0 success, 1 the run failed, 2 the input or the options are wrong. An error is
 * one line on standard error that starts with {@code error: }; {@code --verbose} puts its stack
 * trace before it.
 */
@Command(
    name = "spark-attention",
    description = "Exact attention over very long sequences on Apache Spark.",
    synopsisSubcommandLabel = "COMMAND",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    usageHelpAutoWidth = true,
    scope = ScopeType.INHERIT)
public final class Main {
  @Option(
      names = "--verbose",
      description = "Print the stack trace of an error.",
      scope = ScopeType.INHERIT)
  private boolean verbose;

  private Main() {}

  /** Runs one command and ends the JVM with its exit status. */
  public static void main(String[] args) {
    int status = run(commandLine(), args);
    try {
      stopSpark();
    } finally {
      // Also ends what Spark or a library left running.
      System.exit(status);
    }
  }

  /** The root command with all others below it, writing to the standard streams. */
  static CommandLine commandLine() {
    CommandLine root = new CommandLine(new Main());
    for (Object command : commands()) {
      root.addSubcommand(command);
    }
    // @FILE is the list of one option, not a file of arguments.
    root.setExpandAtFiles(false);
    // Spark may run under a C locale; messages are UTF-8 all the same.
    root.setOut(new PrintWriter(System.out, true, StandardCharsets.UTF_8));
    root.setErr(new PrintWriter(System.err, true, StandardCharsets.UTF_8));
    return root;
  }

  /** The commands that can run; each is a {@code Callable<Integer>} annotated with its name. */
  private static List<Object> commands() {
    return List.of(
        new AttendCommand(),
        new PlanCommand(),
        new CalibrateCommand(),
        new SimulateCommand(),
        new ScaleCommand(),
        new ProjectCommand(),
        new ImportModelCommand(),
        new EncodeCommand(),
        new GenerateCommand(),
        new TranslateCommand(),
        new LinksCommand(),
        new RankCommand(),
        new DemoCommand());
  }

  /** Runs the command that the arguments name and returns the exit status; never throws. */
  static int run(CommandLine root, String... args) {
    root.setParameterExceptionHandler((e, all) -> report(root, e, all));
    root.setExecutionExceptionHandler((e, command, parsed) -> report(root, e, args));
    try {
      return root.execute(args);
    } catch (Error e) {
      return report(root, e, args);
    } finally {
      // A line's end flushes, but not every text ends with a println.
      root.getOut().flush();
    }
  }

  private static int report(CommandLine root, Throwable thrown, String... args) {
    // Not the parsed field: the arguments themselves may be what is wrong.
    boolean verbose = List.of(args).contains("--verbose");
    return Failure.of(thrown).print(root.getErr(), verbose);
  }

  private static void stopSpark() {
    scala.Option<SparkSession> session = SparkSession.getDefaultSession();
    if (session.isDefined()) {
      session.get().stop();
    }
  }

  /** The version that the build wrote into the jar. */
  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      String version = Main.class.getPackage().getImplementationVersion();
      return new String[] {"spark-attention " + (version == null ? "(not packaged)" : version)};
    }
  }
}

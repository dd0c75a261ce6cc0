package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

/** No session is opened here, and none is needed. */
class SimulateCommandTest {
  @TempDir Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... arguments) {
    CommandLine root = Main.commandLine();
    root.setOut(new PrintWriter(out, true));
    root.setErr(new PrintWriter(err, true));
    return Main.run(
        root,
        Stream.concat(Stream.of("simulate"), Arrays.stream(arguments)).toArray(String[]::new));
  }

  @Test
  void printsStrongAndWeakScalingAndSaysThatTheyAreSimulated() {
    assertThat(run("--tokens", "1000000", "--executors", "1,10,100", "--mask", "causal")).isZero();
    assertThat(err.toString()).isEmpty();
    assertThat(out.toString())
        .contains("Simulated, not measured")
        .contains("Strong scaling, simulated: 1,000,000 tokens")
        .contains("Weak scaling, simulated: 10,240 tokens per executor")
        .contains("mask causal, balanced, 2048 tokens per block");
    assertThat(out.toString().lines().filter(line -> line.matches(" +10+ .*"))).hasSize(4);
  }

  @Test
  void troubleMakesItSlowerAndTheSeedDecides() throws Exception {
    Path facts = folder.resolve("facts.properties");
    Files.writeString(facts, "spark.attention.facts.cores=4\n");
    String[] options = {
      "--tokens", "200000", "--executors", "20", "--facts", facts.toString(), "--memory", "64g"
    };
    assertThat(run(options)).isZero();
    String calm = out.toString();
    assertThat(calm).contains("executors of 4 cores").contains("trouble: none");
    out.getBuffer().setLength(0);
    String[] trouble =
        Stream.concat(
                Arrays.stream(options),
                Stream.of("--stragglers", "0.1,3", "--lost", "2", "--seed", "5"))
            .toArray(String[]::new);
    assertThat(run(trouble)).isZero();
    String first = out.toString();
    assertThat(first)
        .contains("10 % of the executors slower by 3, 2 lost (10 s to detect), seed 5");
    assertThat(seconds(first)).isGreaterThan(seconds(calm) * 2.9);
    out.getBuffer().setLength(0);
    assertThat(run(trouble)).isZero();
    assertThat(out.toString()).isEqualTo(first);
  }

  /** Of the ring in the table of strong scaling. */
  private static double seconds(String printed) {
    String row = printed.lines().filter(line -> line.startsWith("       20 ")).findFirst().get();
    return Double.parseDouble(row.strip().split(" +")[3].replace(",", ""));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "--tokens 0; Invalid --tokens: found 0, expected a whole number from 1 to 1099511627776",
        "--executors 0; Invalid --executors: found 0, expected a whole number from 1 to 20000",
        "--executors 20001; Invalid --executors: found 20001, expected a whole number from 1 to"
            + " 20000",
        "--heads 6 --kv-heads 4; Invalid --kv-heads: found 4, expected a divisor of --heads 6",
        "--stragglers 2,2; Invalid --stragglers: found '2,2', expected SHARE,FACTOR with a share"
            + " from 0 to 1 and a factor from 1 to 1e6, such as 0.01,2",
        "--stragglers x; Invalid --stragglers: found 'x', expected SHARE,FACTOR with a share from 0"
            + " to 1 and a factor from 1 to 1e6, such as 0.01,2",
        "--lost -1; Invalid --lost or --detect-seconds: found -1 and 10.0, expected a whole number"
            + " from 0 and seconds from 0 to 1e6",
        "--memory 1x; Invalid --memory: found '1x', expected a size such as 512m or 64g, at least"
            + " 1m",
        "--tokens 200000000; Cannot merge 97657 key blocks of sequence 'simulated' exactly:"
            + " expected at most 65536, raise --block-tokens"
      })
  void refusesWhatItCannotSimulate(String options, String message) {
    assertThat(run(options.split(" "))).isEqualTo(2);
    assertThat(err.toString().lines()).containsExactly("error: " + message);
    assertThat(out.toString()).isEmpty();
  }
}

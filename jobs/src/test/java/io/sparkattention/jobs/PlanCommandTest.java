package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code calibrate} and {@code plan}, the one's file for the other. */
class PlanCommandTest extends CommandTest {
  private static final List<String> EXCHANGES =
      List.of("ring", "barrier", "reduce", "heads", "broadcast");

  private int plan(String... options) {
    List<Object> arguments = new ArrayList<>(List.of("plan"));
    arguments.addAll(List.of(options));
    return run(arguments.toArray());
  }

  @Test
  void ofAMillionTokensOnAClusterThatDoesNotExist() {
    String options =
        "--tokens 1000000 --heads 32 --kv-heads 8 --head-dim 128 --mask causal --executors 64"
            + " --cores 4 --memory 16g";
    assertThat(plan(options.split(" "))).as(err.toString()).isZero();
    List<String> lines = out.toString().lines().toList();
    assertThat(lines)
        .contains("sequences    1, 1,000,000 queries × 1,000,000 keys")
        .anyMatch(line -> line.startsWith("cluster      64 × (4 cores, 16.0 GiB), 256 tasks"))
        .anyMatch(line -> line.matches("ring +\\w+ +256 +.* chosen"));
    for (String exchange : EXCHANGES) {
      assertThat(lines).anyMatch(line -> line.startsWith(exchange + " ") && line.length() > 80);
    }
    assertThat(lines).anyMatch(line -> line.matches("reduce .* rejected: needs .* of memory .*"));
  }

  @Test
  void ofAnInputWithFactsThatWereMeasuredHere() throws IOException {
    Path facts = folder.resolve("facts.properties");
    assertThat(run("calibrate", "--output", facts, "--seconds", "0.01"))
        .as(err.toString())
        .isZero();
    assertThat(Files.readString(facts))
        .contains("spark.attention.facts.executors=1\n", "spark.attention.facts.cores=2\n")
        .contains("# GFLOP/s of one core in QK' and PV, all cores busy")
        .isEqualTo(out.toString());
    Path in = TensorFile.valid().write(folder.resolve("in.safetensors"));
    assertThat(plan("--input", in.toString(), "--facts", facts.toString()))
        .as(err.toString())
        .isZero();
    assertThat(out.toString())
        .contains("cluster      1 × (2 cores, ", "facts        " + facts + "\n")
        .contains(" chosen\n");
    assertThat(run("calibrate", "--output", facts)).isEqualTo(2);
    assertThat(err.toString()).contains("it exists; give --overwrite or another file");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--heads 8 --head-dim 64 | Missing --tokens: found neither --input nor it, expected an"
            + " input or --tokens, --heads and --head-dim",
        "--tokens 0 --heads 8 --head-dim 64 | Invalid --tokens: found '0', expected a whole number"
            + " from 1 to 1099511627776",
        "--tokens 9 --heads 8 --kv-heads 3 --head-dim 64 | Invalid --kv-heads: found 3, expected a"
            + " divisor of the 8 of --heads",
        "--tokens 9 --heads 8 --head-dim 64 --memory much | Invalid --memory: found 'much',"
            + " expected a size such as 512m or 16g, at least 1m",
        "--input x.safetensors --tokens 9 | Cannot use --tokens beside --input: found '9', expected"
            + " what the input says; leave one of them away",
        "--tokens 9 --heads 8 --head-dim 64 --exchange rong | Invalid --exchange: found 'rong',"
            + " expected auto, ring, reduce, barrier, heads or broadcast"
      })
  void wrongOptionsAreNamed(String options, String message) {
    assertThat(plan(options.split(" "))).isEqualTo(2);
    assertThat(err.toString().lines()).containsExactly("error: " + message);
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void aFactsFileThatIsNotThereIsNamed() {
    Stream<String> options =
        Stream.of("--tokens", "9", "--heads", "1", "--head-dim", "8", "--facts", "/none");
    assertThat(plan(options.toArray(String[]::new))).isEqualTo(2);
    assertThat(err.toString()).startsWith("error: Invalid facts file '/none': ");
  }
}

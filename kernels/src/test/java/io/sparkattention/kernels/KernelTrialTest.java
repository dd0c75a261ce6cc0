package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.junit.jupiter.api.Test;

/** The trial in JVMs of their own: what is compiled, and how, holds for the life of a JVM. */
class KernelTrialTest {
  @Test
  void findsNothingWhereAllIsWell() throws Exception {
    assertThat(choiceOfAnotherJvm(List.of(), WarmUp.class)).startsWith("vector-").contains("false");
  }

  @Test
  void noticesThatVectorOperationsAreNotIntrinsic() throws Exception {
    List<String> off = List.of("-XX:+UnlockExperimentalVMOptions", "-XX:-EnableVectorSupport");
    assertThat(choiceOfAnotherJvm(off, WarmUp.class))
        .startsWith("scalar true")
        .contains("objects of vectors");
  }

  @Test
  void noticesThatVectorsOfAnotherWidthSpoiledTheProfiles() throws Exception {
    assertThat(choiceOfAnotherJvm(List.of(), WarmUpAfterOtherVectors.class))
        .contains(" true ")
        .contains("objects of vectors");
  }

  @Test
  void theScalarKernelRunsWithoutTheModule() throws Exception {
    assertThat(
            choiceOfAnotherJvm(
                List.of("--limit-modules=java.base,java.management,jdk.management"), WarmUp.class))
        .startsWith("scalar true")
        .contains("--add-modules");
  }

  private static String choiceOfAnotherJvm(List<String> options, Class<?> main)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    if (options.stream().noneMatch(option -> option.startsWith("--limit-modules"))) {
      command.add("--add-modules=jdk.incubator.vector");
    }
    command.addAll(options);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(1, TimeUnit.MINUTES)).isTrue();
    assertThat(process.exitValue()).isZero();
    return printed;
  }

  /** Prints what the warm-up chose: kernel, slow, reason. */
  static final class WarmUp {
    private WarmUp() {}

    public static void main(String[] args) {
      AttentionKernels.Choice choice = AttentionKernels.warmUp();
      System.out.println(choice.kernel().name() + " " + choice.slow() + " " + choice.reason());
    }
  }

  /** Uses vectors that are not the kernel's until they are compiled, and then does the same. */
  static final class WarmUpAfterOtherVectors {
    private WarmUpAfterOtherVectors() {}

    public static void main(String[] args) {
      float[] x = new float[64];
      for (int i = 0; i < 300_000; i++) {
        multiplyAdd(FloatVector.SPECIES_64, x, i % 32);
        multiplyAdd(FloatVector.SPECIES_128, x, i % 32);
      }
      WarmUp.main(args);
    }

    private static void multiplyAdd(VectorSpecies<Float> species, float[] x, int offset) {
      FloatVector v = FloatVector.fromArray(species, x, offset);
      v = v.fma(v, v).add(v).sub(v);
      v = v.reinterpretAsInts().min(v.reinterpretAsInts()).reinterpretAsFloats();
      v.intoArray(x, offset);
    }
  }
}

package io.sparkattention.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code bin/spark-attention} refuses before it builds or starts anything. */
class LauncherTest {
  private static final Path LAUNCHER = Path.of("bin", "spark-attention").toAbsolutePath();

  @TempDir private Path folder;

  private void assertRefused(String message, Map<String, String> environment, String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of("bash", LAUNCHER.toString()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile());
    builder.environment().remove("SPARK_HOME");
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    builder.environment().putAll(environment);
    Process process = builder.redirectErrorStream(true).start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(printed.lines()).singleElement().asString().startsWith("error: " + message);
    assertThat(process.waitFor()).isEqualTo(2);
  }

  @Test
  void anOptionThatSparkSubmitDoesNotTake() throws Exception {
    assertRefused(
        "Unknown option '--mastr' before COMMAND: expected one of --master ",
        Map.of(),
        "--mastr",
        "local[2]",
        "attend");
  }

  @Test
  void anOptionWithoutItsValue() throws Exception {
    assertRefused("Missing value of --master: found the end", Map.of(), "--master");
    assertRefused("Missing value of --master: found ''", Map.of(), "--master=", "attend");
    assertRefused("Missing value of --name: found '--conf'", Map.of(), "--name", "--conf", "a=b");
  }

  @Test
  void aPropertyWithoutItsValue() throws Exception {
    assertRefused("Invalid --conf: found 'spark.x'", Map.of(), "--conf", "spark.x", "attend");
  }

  @Test
  void aPropertiesFileThatIsNotThere() throws Exception {
    assertRefused(
        "Cannot read --properties-file: found 'none.conf'",
        Map.of(),
        "--properties-file",
        "none.conf",
        "attend");
  }

  @Test
  void aSparkHomeWithoutSpark() throws Exception {
    String home = folder.toString();
    assertRefused("Cannot use SPARK_HOME: '" + home, Map.of("SPARK_HOME", home), "attend");
  }

  @Test
  void aJavaHomeWithoutJava() throws Exception {
    String home = folder.toString();
    assertRefused("Cannot find Java: JAVA_HOME is '" + home, Map.of("JAVA_HOME", home), "attend");
  }

  @Test
  void aJavaThatIsTooOld() throws Exception {
    Path java = Files.createDirectories(folder.resolve("bin")).resolve("java");
    Files.writeString(java, "#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n");
    Files.setPosixFilePermissions(java, PosixFilePermissions.fromString("rwxr-xr-x"));
    assertRefused(
        "Cannot use '" + java + "': found Java 11.0.2, expected 17 or newer",
        Map.of("JAVA_HOME", folder.toString()),
        "attend");
  }
}

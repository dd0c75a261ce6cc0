package io.sparkattention.jobs;

import io.sparkattention.driver.InvalidInputException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.util.Optional;

/** What the build lays beside {@code spark-attention.jar}: {@code models/} and {@code demo/}. */
final class BundledFiles {
  static final String DEFAULT_MODEL = "all-minilm-l6-v2";

  private BundledFiles() {}

  /**
   * The folder of a model.
   *
   * @param nameOrFolder a bundled model's name, or a folder
   */
  static String model(String nameOrFolder) {
    return bundled("models/" + nameOrFolder)
        .filter(Files::isDirectory)
        .map(Path::toString)
        .orElseGet(
            () -> {
              if (nameOrFolder.equals(DEFAULT_MODEL)) {
                throw missing("models/" + nameOrFolder);
              }
              return nameOrFolder;
            });
  }

  /** The demo's long text: a source file of Spark itself. */
  static Path longText() {
    return bundled("demo/Dataset.scala")
        .filter(Files::isRegularFile)
        .orElseThrow(() -> missing("demo/Dataset.scala"));
  }

  private static InvalidInputException missing(String name) {
    return new InvalidInputException(
        "Cannot find '"
            + name
            + "' beside spark-attention.jar, where the build puts it: run the jar from jobs/target,"
            + " or name a folder");
  }

  private static Optional<Path> bundled(String name) {
    CodeSource source = BundledFiles.class.getProtectionDomain().getCodeSource();
    if (source == null) {
      return Optional.empty();
    }
    try {
      return Optional.of(Path.of(source.getLocation().toURI()).resolveSibling(name));
    } catch (URISyntaxException | IllegalArgumentException e) {
      // Not a file: the jar came over the network.
      return Optional.empty();
    }
  }
}

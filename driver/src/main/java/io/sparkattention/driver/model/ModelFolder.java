package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A folder with one model: a {@code *.onnx} file, or {@code model.safetensors} with {@code
 * config.json}, and beside it {@code tokenizer.json} (or one {@code *tokenizer.json}).
 */
public final class ModelFolder {
  private final Path root;

  private ModelFolder(Path root) {
    this.root = root;
  }

  /** Opens a folder of the local file system; a path that is no folder is refused. */
  public static ModelFolder at(String path) {
    Path root = Path.of(path);
    if (!Files.isDirectory(root)) {
      throw new InvalidInputException(
          "Cannot read model folder "
              + path
              + ": no such folder; expected one with an .onnx file and a tokenizer.json");
    }
    return new ModelFolder(root);
  }

  /** The folder's own name, for messages and job descriptions. */
  public String name() {
    Path name = root.toAbsolutePath().normalize().getFileName();
    return name == null ? root.toString() : name.toString();
  }

  /** The tokenizer in Hugging Face's {@code tokenizer.json} form. */
  public Path tokenizer() {
    return single("tokenizer.json")
        .orElseThrow(
            () ->
                new InvalidInputException(
                    "Cannot read model folder "
                        + root
                        + ": no tokenizer.json found; put the model's tokenizer.json there"));
  }

  /** A file that the folder must have. */
  Path file(String name) {
    Path file = root.resolve(name);
    if (!Files.isRegularFile(file)) {
      throw new InvalidInputException(
          "Cannot read model folder %s: no %s found; put the model's %s there"
              .formatted(root, name, name));
    }
    return file;
  }

  /** The ONNX file, if the folder has one. */
  Optional<Path> onnx() {
    return single(".onnx");
  }

  /** The safetensors file of the Hugging Face layout, if the folder has one. */
  Optional<Path> safetensors() {
    Path file = root.resolve("model.safetensors");
    return Files.isRegularFile(file) ? Optional.of(file) : Optional.empty();
  }

  private Optional<Path> single(String suffix) {
    List<Path> found;
    try (Stream<Path> files = Files.list(root)) {
      found =
          files.filter(file -> file.getFileName().toString().endsWith(suffix)).sorted().toList();
    } catch (IOException e) {
      throw new InvalidInputException(
          "Cannot list model folder " + root + ": " + e.getMessage() + "; make it readable", e);
    }
    if (found.size() > 1) {
      throw new InvalidInputException(
          "Cannot choose among "
              + found.size()
              + " files *"
              + suffix
              + " in "
              + root
              + "; expected one: keep the model in a folder of its own");
    }
    return found.stream().findFirst();
  }

  @Override
  public String toString() {
    return root.toString();
  }
}

package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.SafetensorsFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.Path;

/**
 * The trained numbers of one model, by Hugging Face tensor name, whatever file form they came in.
 * Dense weights have Hugging Face's shape {@code [out, in]}.
 */
public final class ModelWeights {
  /** Row-major values and the length of each axis. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  public record Tensor(float[] data, int[] shape) {}

  private final String source;
  private final Map<String, Tensor> tensors;
  private final int numHeads;

  /**
   * @param source where the tensors came from, for messages
   * @param numHeads attention heads per layer (no tensor's shape shows them)
   */
  ModelWeights(String source, Map<String, Tensor> tensors, int numHeads) {
    this.source = source;
    this.tensors = Map.copyOf(tensors);
    this.numHeads = numHeads;
  }

  /** Reads the folder's {@code .onnx} file. */
  public static ModelWeights read(ModelFolder folder) {
    if (folder.onnx().isPresent()) {
      return OnnxWeights.read(folder.onnx().get());
    }
    throw new InvalidInputException(
        "Cannot load a model from "
            + folder
            + ": found neither an .onnx file nor model.safetensors; put the model's weights there");
  }

  /**
   * Reads {@code model.safetensors}, every tensor as float32; {@code config.json} knows the heads.
   */
  static ModelWeights readSafetensors(ModelFolder folder) {
    return readSafetensors(folder, Optional::of, 0);
  }

  /**
   * Reads {@code model.safetensors}, every tensor as float32.
   *
   * @param rename from a tensor's name in the file to its name here; empty: it is not read
   */
  static ModelWeights readSafetensors(
      ModelFolder folder, Function<String, Optional<String>> rename, int numHeads) {
    Path file = new Path(folder.file("model.safetensors").toUri());
    Configuration hadoop = new Configuration(false);
    SafetensorsFile tensors = SafetensorsFile.open(file, hadoop);
    Map<String, Tensor> read = new HashMap<>();
    try (FSDataInputStream in = tensors.openStream(hadoop)) {
      for (SafetensorsFile.Tensor tensor : tensors.tensors().values()) {
        Optional<String> name = rename.apply(tensor.name());
        if (name.isEmpty()) {
          continue;
        }
        float[] data = new float[Math.toIntExact(tensor.elements())];
        tensors.read(in, tensor, 0, data, 0, data.length);
        int[] shape = tensor.shape().stream().mapToInt(Math::toIntExact).toArray();
        read.put(name.get(), new Tensor(data, shape));
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read '" + file + "': " + e.getMessage(), e);
    }
    return new ModelWeights(file.toString(), read, numHeads);
  }

  /** Attention heads per layer; 0 where the weights' file does not tell. */
  public int numHeads() {
    return numHeads;
  }

  /** The names of all tensors. */
  public Set<String> names() {
    return tensors.keySet();
  }

  /** The length of one axis of a tensor that has been {@linkplain #require required}. */
  int axis(String name, int axis) {
    return tensors.get(name).shape()[axis];
  }

  /** The length of each axis of a tensor that has been {@linkplain #require required}. */
  int[] shape(String name) {
    return tensors.get(name).shape().clone();
  }

  /** The values of a tensor that has been {@linkplain #require required}. */
  float[] data(String name) {
    return tensors.get(name).data();
  }

  /**
   * Refuses these weights unless they have every expected tensor, all complaints in one message.
   *
   * @param expected tensor name to shape; an axis of −1 may have any length
   */
  void require(Map<String, int[]> expected) {
    refuse(complaints(expected), "a BERT encoder");
  }

  /**
   * Refuses these weights unless they have every expected tensor and no other, all complaints in
   * one message.
   *
   * @param expected tensor name to shape
   * @param family what was expected, for the message
   */
  void requireExactly(Map<String, int[]> expected, String family) {
    List<String> complaints = complaints(expected);
    tensors.keySet().stream()
        .filter(name -> !expected.containsKey(name))
        .sorted()
        .forEach(name -> complaints.add(name + " is not used"));
    refuse(complaints, family);
  }

  private List<String> complaints(Map<String, int[]> expected) {
    List<String> complaints = new ArrayList<>();
    expected.forEach(
        (name, shape) -> {
          Tensor tensor = tensors.get(name);
          if (tensor == null) {
            complaints.add(name + " is missing (expected " + describe(shape) + ")");
          } else if (!matches(tensor.shape(), shape)) {
            complaints.add(
                name + " is " + describe(tensor.shape()) + " (expected " + describe(shape) + ")");
          }
        });
    return complaints;
  }

  private void refuse(List<String> complaints, String family) {
    if (!complaints.isEmpty()) {
      throw new InvalidInputException(
          "Cannot use the weights in "
              + source
              + ": "
              + String.join(", ", complaints)
              + "; expected "
              + family
              + " under Hugging Face's tensor names");
    }
  }

  private static boolean matches(int[] shape, int[] expected) {
    if (shape.length != expected.length) {
      return false;
    }
    for (int axis = 0; axis < shape.length; axis++) {
      if (expected[axis] >= 0 && shape[axis] != expected[axis]) {
        return false;
      }
    }
    return true;
  }

  private static String describe(int[] shape) {
    return Arrays.toString(shape).replace("-1", "any");
  }

  @Override
  public String toString() {
    return source;
  }
}

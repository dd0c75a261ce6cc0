package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;

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

  /** Reads the folder's weights in the one form that it has. */
  public static ModelWeights read(ModelFolder folder) {
    if (folder.onnx().isPresent()) {
      return OnnxWeights.read(folder.onnx().get());
    }
    if (folder.safetensors().isPresent()) {
      throw new InvalidInputException(
          "Cannot load " + folder.safetensors().get() + ": not supported yet");
    }
    throw new InvalidInputException(
        "Cannot load a model from "
            + folder
            + ": found neither an .onnx file nor model.safetensors; put the model's weights there");
  }

  /** Attention heads per layer. */
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
    if (!complaints.isEmpty()) {
      throw new InvalidInputException(
          "Cannot use the weights in "
              + source
              + ": "
              + String.join(", ", complaints)
              + "; expected a BERT encoder under Hugging Face's tensor names");
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

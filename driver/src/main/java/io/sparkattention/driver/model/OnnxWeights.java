package io.sparkattention.driver.model;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.model.ModelWeights.Tensor;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Reads a BERT encoder's weights out of an ONNX graph that PyTorch exported. The exporter keeps the
 * names of biases, norms and embeddings, but folds each dense weight's transposition into an
 * anonymous {@code [in, out]} initializer of a MatMul; the bias that is added to the product tells
 * whose weight it is.
 */
final class OnnxWeights {
  private static final String FIRST_QUERY_BIAS = "encoder.layer.0.attention.self.query.bias";

  private final Path file;
  private final GraphProto graph;
  private final Map<String, TensorProto> initializers = new HashMap<>();

  /** Value name to the node that yields it. */
  private final Map<String, NodeProto> producers = new HashMap<>();

  private OnnxWeights(Path file, GraphProto graph) {
    this.file = file;
    this.graph = graph;
    graph.getInitializerList().forEach(tensor -> initializers.put(tensor.getName(), tensor));
    for (NodeProto node : graph.getNodeList()) {
      node.getOutputList().forEach(output -> producers.put(output, node));
    }
  }

  static ModelWeights read(Path file) {
    try (InputStream bytes = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
      CodedInputStream coded = CodedInputStream.newInstance(bytes);
      coded.setSizeLimit(Integer.MAX_VALUE);
      OnnxWeights onnx = new OnnxWeights(file, ModelProto.parseFrom(coded).getGraph());
      return new ModelWeights(file.toString(), onnx.tensors(), onnx.numHeads());
    } catch (InvalidProtocolBufferException e) {
      throw new InvalidInputException(
          "Cannot read " + file + ": found damaged ONNX (" + e.getMessage() + "); copy it again",
          e);
    } catch (IOException e) {
      throw new InvalidInputException(
          "Cannot read " + file + ": " + e.getMessage() + "; make the file readable", e);
    }
  }

  private Map<String, Tensor> tensors() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (TensorProto tensor : initializers.values()) {
      if (tensor.getDataType() == TensorProto.DataType.FLOAT.getNumber()
          && !tensor.getName().startsWith("onnx::")) {
        tensors.put(tensor.getName(), new Tensor(floats(tensor), shape(tensor)));
      }
    }
    for (NodeProto node : graph.getNodeList()) {
      if (node.getOpType().equals("Add")) {
        putDenseWeight(node, tensors);
      }
    }
    return tensors;
  }

  /** Names the weight of {@code Add(bias, MatMul(x, weight))}, in either order of the operands. */
  private void putDenseWeight(NodeProto add, Map<String, Tensor> tensors) {
    for (int side = 0; side < add.getInputCount(); side++) {
      String bias = add.getInput(side);
      NodeProto product = producers.get(add.getInput(add.getInputCount() - 1 - side));
      if (bias.endsWith(".bias")
          && initializers.containsKey(bias)
          && product != null
          && product.getOpType().equals("MatMul")) {
        TensorProto weight = initializers.get(product.getInput(1));
        if (weight != null && weight.getDimsCount() == 2) {
          String name = bias.substring(0, bias.length() - "bias".length()) + "weight";
          tensors.put(name, transposed(weight));
        }
      }
    }
  }

  /** The heads of {@code Reshape(query, [batch, tokens, heads, headDim])} in the first layer. */
  private int numHeads() {
    for (NodeProto node : graph.getNodeList()) {
      NodeProto add = node.getOpType().equals("Reshape") ? producers.get(node.getInput(0)) : null;
      if (add != null && add.getInputList().contains(FIRST_QUERY_BIAS)) {
        NodeProto shape = producers.get(node.getInput(1));
        if (shape != null && shape.getOpType().equals("Concat") && shape.getInputCount() == 4) {
          return constant(shape.getInput(2));
        }
      }
    }
    throw new InvalidInputException(
        "Cannot tell the number of attention heads from "
            + file
            + ": found no Reshape of the first layer's queries to [batch, tokens, heads, headDim];"
            + " expected the graph that PyTorch's exporter writes for a BERT encoder");
  }

  private int constant(String name) {
    NodeProto node = producers.get(name);
    TensorProto tensor = node == null ? initializers.get(name) : node.getAttribute(0).getT();
    if (tensor == null || tensor.getDataType() != TensorProto.DataType.INT64.getNumber()) {
      throw new InvalidInputException(
          "Cannot read the number of attention heads from "
              + file
              + ": "
              + name
              + " is no integer constant; export the model with fixed head counts");
    }
    return tensor.getInt64DataCount() > 0
        ? Math.toIntExact(tensor.getInt64Data(0))
        : Math.toIntExact(
            tensor.getRawData().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).getLong());
  }

  private Tensor transposed(TensorProto weight) {
    float[] inOut = floats(weight);
    int in = shape(weight)[0];
    int out = shape(weight)[1];
    float[] outIn = new float[inOut.length];
    for (int i = 0; i < in; i++) {
      for (int o = 0; o < out; o++) {
        outIn[o * in + i] = inOut[i * out + o];
      }
    }
    return new Tensor(outIn, new int[] {out, in});
  }

  private static int[] shape(TensorProto tensor) {
    return tensor.getDimsList().stream().mapToInt(Math::toIntExact).toArray();
  }

  private float[] floats(TensorProto tensor) {
    int size = 1;
    for (long axis : tensor.getDimsList()) {
      size = Math.multiplyExact(size, Math.toIntExact(axis));
    }
    ByteBuffer raw = tensor.getRawData().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    int found = raw.hasRemaining() ? raw.remaining() / Float.BYTES : tensor.getFloatDataCount();
    if (found != size) {
      throw new InvalidInputException(
          "Cannot read "
              + tensor.getName()
              + " from "
              + file
              + ": found "
              + found
              + " of "
              + size
              + " values; expected all inside the file: export without external data");
    }
    float[] floats = new float[size];
    if (raw.hasRemaining()) {
      raw.asFloatBuffer().get(floats);
    } else {
      for (int i = 0; i < size; i++) {
        floats[i] = tensor.getFloatData(i);
      }
    }
    return floats;
  }
}

package io.sparkattention.driver.model;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * ONNX Runtime on the very graph that the weights come from, with the inner values of every layer
 * as extra outputs: an encoder that we did not write.
 */
public final class OnnxOracle implements AutoCloseable {
  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final OrtSession session;

  private OnnxOracle(byte[] model) throws OrtException {
    OrtSession.SessionOptions options = new OrtSession.SessionOptions();
    options.setIntraOpNumThreads(1);
    this.session = environment.createSession(model, options);
  }

  /** Opens the folder's ONNX file. */
  public static OnnxOracle open(ModelFolder folder) {
    try (InputStream bytes = Files.newInputStream(folder.onnx().orElseThrow())) {
      ModelProto model = ModelProto.parseFrom(bytes);
      GraphProto graph = withInnerOutputs(model.getGraph());
      return new OnnxOracle(model.toBuilder().setGraph(graph).build().toByteArray());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (OrtException e) {
      throw new IllegalStateException(e);
    }
  }

  /**
   * Runs the encoder on one sequence.
   *
   * @return row-major values: {@code last_hidden_state}, {@code embeddings} [tokens, hidden], and
   *     for each layer N {@code layer.N.query}, {@code .key}, {@code .value}, {@code .context}
   *     [tokens, hidden] and {@code .probabilities} [heads, tokens, tokens]
   */
  public Map<String, float[]> run(int[] ids) {
    long[] shape = {1, ids.length};
    long[] ones = new long[ids.length];
    Arrays.fill(ones, 1);
    LongBuffer tokens = LongBuffer.wrap(Arrays.stream(ids).asLongStream().toArray());
    try (OnnxTensor input = OnnxTensor.createTensor(environment, tokens, shape);
        OnnxTensor mask = OnnxTensor.createTensor(environment, LongBuffer.wrap(ones), shape);
        OnnxTensor types =
            OnnxTensor.createTensor(environment, LongBuffer.allocate(ids.length), shape);
        OrtSession.Result result =
            session.run(
                Map.of("input_ids", input, "attention_mask", mask, "token_type_ids", types))) {
      Map<String, float[]> outputs = new LinkedHashMap<>();
      for (Map.Entry<String, OnnxValue> output : result) {
        FloatBuffer values = ((OnnxTensor) output.getValue()).getFloatBuffer();
        float[] copy = new float[values.remaining()];
        values.get(copy);
        outputs.put(output.getKey(), copy);
      }
      return outputs;
    } catch (OrtException e) {
      throw new IllegalStateException(e);
    }
  }

  private static GraphProto withInnerOutputs(GraphProto graph) {
    GraphProto.Builder builder = graph.toBuilder();
    int layer = 0;
    for (NodeProto node : graph.getNodeList()) {
      if (node.getOpType().equals("Softmax")) {
        String name = "layer." + layer++ + ".";
        expose(builder, node.getOutput(0), name + "probabilities");
        NodeProto weighted = consumer(graph, node, "MatMul");
        NodeProto joined = consumer(graph, consumer(graph, weighted, "Transpose"), "Reshape");
        expose(builder, joined.getOutput(0), name + "context");
      }
      for (String kind : List.of("query", "key", "value")) {
        projection(node, kind)
            .ifPresent(of -> expose(builder, node.getOutput(0), "layer." + of + "." + kind));
      }
      if (node.getOpType().equals("Add")
          && node.getInputList().contains("embeddings.LayerNorm.bias")) {
        expose(builder, node.getOutput(0), "embeddings");
      }
    }
    return builder.build();
  }

  private static NodeProto consumer(GraphProto graph, NodeProto producer, String type) {
    return graph.getNodeList().stream()
        .filter(node -> node.getOpType().equals(type))
        .filter(node -> node.getInputList().contains(producer.getOutput(0)))
        .findFirst()
        .orElseThrow();
  }

  private static Optional<String> projection(NodeProto add, String kind) {
    String end = ".attention.self." + kind + ".bias";
    return add.getInputList().stream()
        .filter(input -> add.getOpType().equals("Add") && input.endsWith(end))
        .map(input -> input.replace("encoder.layer.", "").replace(end, ""))
        .findFirst();
  }

  private static void expose(GraphProto.Builder graph, String value, String name) {
    graph.addNode(
        NodeProto.newBuilder().setOpType("Identity").addInput(value).addOutput(name).build());
    TypeProto.Tensor type =
        TypeProto.Tensor.newBuilder().setElemType(TensorProto.DataType.FLOAT.getNumber()).build();
    graph.addOutput(
        ValueInfoProto.newBuilder()
            .setName(name)
            .setType(TypeProto.newBuilder().setTensorType(type)));
  }

  @Override
  public void close() {
    try {
      session.close();
    } catch (OrtException e) {
      throw new IllegalStateException(e);
    }
  }
}

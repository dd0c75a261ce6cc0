package io.sparkattention.kernels;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.io.ByteArrayOutputStream;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Attention as ONNX Runtime computes it on the CPU: a model of one node, the standard {@code
 * Attention} operator (opset 23). The model is a few protobuf fields, written here by the numbers
 * that onnx.proto gives them.
 */
final class OnnxAttention {
  private static final int OPSET = 23;
  private static final int IR_VERSION = 10;

  /** Values of TensorProto.DataType and AttributeProto.AttributeType. */
  private static final int FLOAT_TENSOR = 1;

  private static final int FLOAT_ATTRIBUTE = 1;
  private static final int INT_ATTRIBUTE = 2;

  private OnnxAttention() {}

  /** [numHeads, queries, valueDim]; under {@code causal}, query i sees the keys up to i. */
  static float[] attend(AttentionCase c, boolean causal) throws OrtException {
    long[] query = {1, c.layout.numHeads(), c.queries, c.layout.keyDim()};
    long[] key = {1, c.layout.numKeyValueHeads(), c.keys, c.layout.keyDim()};
    long[] value = {1, c.layout.numKeyValueHeads(), c.keys, c.layout.valueDim()};
    long[] output = {1, c.layout.numHeads(), c.queries, c.layout.valueDim()};
    byte[] model =
        model(
            node(causal, (float) c.scale),
            new Message[] {floats("Q", query), floats("K", key), floats("V", value)},
            floats("Y", output));
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setIntraOpNumThreads(1);
      try (OrtSession session = environment.createSession(model, options);
          OnnxTensor q = tensor(environment, c.query, query);
          OnnxTensor k = tensor(environment, c.key, key);
          OnnxTensor v = tensor(environment, c.value, value);
          OrtSession.Result result = session.run(Map.of("Q", q, "K", k, "V", v))) {
        float[] found = new float[c.layout.numHeads() * c.queries * c.layout.valueDim()];
        ((OnnxTensor) result.get(0)).getFloatBuffer().get(found);
        return found;
      }
    }
  }

  private static OnnxTensor tensor(OrtEnvironment environment, float[] data, long[] shape)
      throws OrtException {
    return OnnxTensor.createTensor(environment, FloatBuffer.wrap(data), shape);
  }

  /** ModelProto: ir_version, opset_import { version }, graph. */
  private static byte[] model(Message node, Message[] inputs, Message output) {
    Message graph = new Message().message(1, node).text(2, "attention");
    for (Message input : inputs) {
      graph.message(11, input);
    }
    graph.message(12, output);
    return new Message()
        .number(1, IR_VERSION)
        .message(8, new Message().number(2, OPSET))
        .message(7, graph)
        .bytes();
  }

  /** NodeProto: input, output, op_type, attribute. */
  private static Message node(boolean causal, float scale) {
    return new Message()
        .text(1, "Q")
        .text(1, "K")
        .text(1, "V")
        .text(2, "Y")
        .text(4, "Attention")
        .message(
            5,
            new Message().text(1, "is_causal").number(3, causal ? 1 : 0).number(20, INT_ATTRIBUTE))
        .message(5, new Message().text(1, "scale").real(2, scale).number(20, FLOAT_ATTRIBUTE));
  }

  /** ValueInfoProto: name, type { tensor_type { elem_type, shape { dim { dim_value } } } }. */
  private static Message floats(String name, long[] dims) {
    Message shape = new Message();
    for (long dim : dims) {
      shape.message(1, new Message().number(1, dim));
    }
    Message tensor = new Message().number(1, FLOAT_TENSOR).message(2, shape);
    return new Message().text(1, name).message(2, new Message().message(1, tensor));
  }

  /** A protobuf message under construction: every field is its number, its wire type, its data. */
  private static final class Message {
    private static final int VARINT = 0;
    private static final int LENGTH_DELIMITED = 2;
    private static final int FIXED_32 = 5;

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    Message number(int field, long value) {
      varint(field << 3 | VARINT);
      varint(value);
      return this;
    }

    Message real(int field, float value) {
      varint(field << 3 | FIXED_32);
      int bits = Float.floatToRawIntBits(value);
      for (int shift = 0; shift < Integer.SIZE; shift += Byte.SIZE) {
        out.write(bits >>> shift);
      }
      return this;
    }

    Message text(int field, String value) {
      return delimited(field, value.getBytes(StandardCharsets.UTF_8));
    }

    Message message(int field, Message value) {
      return delimited(field, value.bytes());
    }

    byte[] bytes() {
      return out.toByteArray();
    }

    private Message delimited(int field, byte[] value) {
      varint(field << 3 | LENGTH_DELIMITED);
      varint(value.length);
      out.writeBytes(value);
      return this;
    }

    private void varint(long value) {
      long rest = value;
      for (; (rest & ~0x7fL) != 0; rest >>>= 7) {
        out.write((int) (rest & 0x7f | 0x80));
      }
      out.write((int) rest);
    }
  }
}

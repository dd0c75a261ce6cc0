package io.sparkattention.kernels;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * An ONNX model of one node, written as the few protobuf fields that it needs, by the numbers that
 * onnx.proto gives them.
 */
final class OnnxModel {
  /** Values of TensorProto.DataType. */
  static final int FLOAT = 1;

  static final int INT32 = 6;

  private static final int OPSET = 23;
  private static final int IR_VERSION = 10;

  /** Values of AttributeProto.AttributeType. */
  private static final int FLOAT_ATTRIBUTE = 1;

  private static final int INT_ATTRIBUTE = 2;

  private final String domain;
  private final Message node = new Message();
  private final List<Message> inputs = new ArrayList<>();
  private final List<Message> outputs = new ArrayList<>();

  /**
   * @param domain the operator's; empty for those of the standard
   */
  OnnxModel(String domain, String operator) {
    this.domain = domain;
    node.text(4, operator).text(7, domain);
  }

  OnnxModel input(String name, int type, long... dims) {
    node.text(1, name);
    inputs.add(valueInfo(name, type, dims));
    return this;
  }

  /** An optional input in the middle that is not given. */
  OnnxModel noInput() {
    node.text(1, "");
    return this;
  }

  OnnxModel output(String name, long... dims) {
    node.text(2, name);
    outputs.add(valueInfo(name, FLOAT, dims));
    return this;
  }

  /** AttributeProto: name, i, type. */
  OnnxModel attribute(String name, long value) {
    node.message(5, new Message().text(1, name).number(3, value).number(20, INT_ATTRIBUTE));
    return this;
  }

  /** AttributeProto: name, f, type. */
  OnnxModel attribute(String name, float value) {
    node.message(5, new Message().text(1, name).real(2, value).number(20, FLOAT_ATTRIBUTE));
    return this;
  }

  /** ModelProto: ir_version, opset_import { domain, version }, graph { node, name, in, out }. */
  byte[] bytes() {
    Message graph = new Message().message(1, node).text(2, "attention");
    inputs.forEach(input -> graph.message(11, input));
    outputs.forEach(output -> graph.message(12, output));
    Message model = new Message().number(1, IR_VERSION);
    model.message(8, new Message().number(2, OPSET));
    if (!domain.isEmpty()) {
      model.message(8, new Message().text(1, domain).number(2, 1));
    }
    return model.message(7, graph).bytes();
  }

  /** ValueInfoProto: name, type { tensor_type { elem_type, shape { dim { dim_value } } } }. */
  private static Message valueInfo(String name, int type, long... dims) {
    Message shape = new Message();
    for (long dim : dims) {
      shape.message(1, new Message().number(1, dim));
    }
    Message tensor = new Message().number(1, type).message(2, shape);
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
        out.write((int) ((rest & 0x7f) | 0x80));
      }
      out.write((int) rest);
    }
  }
}

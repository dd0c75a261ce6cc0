package io.sparkattention.driver;

import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsFile;
import io.sparkattention.driver.io.SafetensorsWriter;
import io.sparkattention.driver.io.SafetensorsWriter.Declaration;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;

/** A safetensors file of any tensors, in the making. */
final class TensorFile {
  private final Map<String, Declaration> declarations = new HashMap<>();
  private final Map<String, float[]> numbers = new HashMap<>();

  /**
   * Adds or replaces a tensor.
   *
   * @param values converted to the type; of BOOL everything but 0 is true
   */
  TensorFile with(String name, DataType type, float[] values, long... shape) {
    List<Long> sizes = Arrays.stream(shape).boxed().toList();
    if (values.length != Arrays.stream(shape).reduce(1, Math::multiplyExact)) {
      throw new IllegalArgumentException(values.length + " numbers for " + sizes);
    }
    declarations.put(name, new Declaration(name, type, sizes));
    numbers.put(name, values);
    return this;
  }

  /** Adds or replaces a tensor of whole numbers. */
  TensorFile with(String name, DataType type, int... values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      floats[i] = values[i];
    }
    return with(name, type, floats, values.length);
  }

  TensorFile without(String name) {
    declarations.remove(name);
    numbers.remove(name);
    return this;
  }

  Path write(Path path) {
    SafetensorsWriter writer = new SafetensorsWriter(List.copyOf(declarations.values()));
    List<ByteBuffer> pieces = new ArrayList<>();
    for (SafetensorsFile.Tensor tensor : writer.tensors()) {
      pieces.add(bytes(tensor, numbers.get(tensor.name())));
    }
    writer.write(
        new org.apache.hadoop.fs.Path(path.toString()),
        new Configuration(),
        true,
        pieces.iterator());
    return path;
  }

  private static ByteBuffer bytes(SafetensorsFile.Tensor tensor, float[] values) {
    ByteBuffer bytes = ByteBuffer.allocate((int) tensor.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    if (tensor.type().isFloat()) {
      tensor.type().encode(values, 0, values.length, bytes);
      return bytes.flip();
    }
    for (float value : values) {
      switch (tensor.type()) {
        case BOOL -> bytes.put((byte) (value == 0 ? 0 : 1));
        case I64 -> bytes.putLong((long) value);
        case I32 -> bytes.putInt((int) value);
        default -> throw new IllegalArgumentException("Cannot write " + tensor.type());
      }
    }
    return bytes.flip();
  }
}

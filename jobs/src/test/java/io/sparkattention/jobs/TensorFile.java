package io.sparkattention.jobs;

import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsFile;
import io.sparkattention.driver.io.SafetensorsWriter;
import io.sparkattention.driver.io.SafetensorsWriter.Declaration;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;

/** A safetensors file in the making: random numbers of a fixed seed, then what a test changes. */
final class TensorFile {
  private final Map<String, Declaration> declarations = new TreeMap<>();
  private final Map<String, float[]> values = new TreeMap<>();

  /** 4 query heads over 2 key/value heads of 8, 5 queries and 6 keys. */
  static TensorFile valid() {
    return new TensorFile()
        .with("query", DataType.F32, 1, 4, 5, 8)
        .with("key", DataType.F32, 1, 2, 6, 8)
        .with("value", DataType.F32, 1, 2, 6, 8);
  }

  /** Adds or replaces a tensor. */
  TensorFile with(String name, DataType type, long... shape) {
    List<Long> sizes = Arrays.stream(shape).boxed().toList();
    Random random = new Random(name.hashCode());
    float[] numbers = new float[(int) Arrays.stream(shape).reduce(1, Math::multiplyExact)];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = (float) random.nextGaussian();
    }
    declarations.put(name, new Declaration(name, type, sizes));
    values.put(name, numbers);
    return this;
  }

  TensorFile without(String name) {
    declarations.remove(name);
    values.remove(name);
    return this;
  }

  TensorFile fill(String name, float number) {
    Arrays.fill(values.get(name), number);
    return this;
  }

  /** Changes one element; {@code at} has one index for each axis. */
  TensorFile set(String name, float number, int... at) {
    int index = 0;
    for (int axis = 0; axis < at.length; axis++) {
      index = index * declarations.get(name).shape().get(axis).intValue() + at[axis];
    }
    values.get(name)[index] = number;
    return this;
  }

  Path write(Path path) {
    SafetensorsWriter writer = new SafetensorsWriter(List.copyOf(declarations.values()));
    List<ByteBuffer> pieces = new ArrayList<>();
    for (SafetensorsFile.Tensor tensor : writer.tensors()) {
      ByteBuffer bytes = ByteBuffer.allocate((int) tensor.bytes()).order(ByteOrder.LITTLE_ENDIAN);
      if (tensor.type().isFloat()) {
        float[] numbers = values.get(tensor.name());
        tensor.type().encode(numbers, 0, numbers.length, bytes.duplicate().order(bytes.order()));
      } else if (tensor.type() == DataType.I64) {
        for (int i = 0; i < bytes.capacity() / Long.BYTES; i++) {
          bytes.putLong(i * Long.BYTES, (long) values.get(tensor.name())[i]);
        }
      }
      pieces.add(bytes);
    }
    writer.write(
        new org.apache.hadoop.fs.Path(path.toString()),
        new Configuration(),
        false,
        pieces.iterator());
    return path;
  }
}

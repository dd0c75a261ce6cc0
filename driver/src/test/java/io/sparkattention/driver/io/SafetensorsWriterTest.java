package io.sparkattention.driver.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.SafetensorsFile.Tensor;
import io.sparkattention.driver.io.SafetensorsWriter.Declaration;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class SafetensorsWriterTest {
  private final Configuration conf = new Configuration();
  private final SafetensorsWriter eightBytes =
      new SafetensorsWriter(List.of(new Declaration("a", DataType.U8, List.of(8L))));

  @TempDir private java.nio.file.Path folder;
  private java.nio.file.Path file;
  private Path path;

  @BeforeEach
  void choosePath() {
    file = folder.resolve("out.safetensors");
    path = new Path(file.toString());
  }

  private List<String> names() throws IOException {
    try (Stream<java.nio.file.Path> entries = Files.list(folder)) {
      return entries.map(entry -> entry.getFileName().toString()).sorted().toList();
    }
  }

  private static Iterator<ByteBuffer> pieces(int... sizes) {
    List<ByteBuffer> pieces = new ArrayList<>();
    for (int size : sizes) {
      pieces.add(ByteBuffer.allocate(size));
    }
    return pieces.iterator();
  }

  /** One piece, then a failure. */
  private static Iterator<ByteBuffer> failing(RuntimeException failure) {
    return new Iterator<>() {
      private boolean first = true;

      @Override
      public boolean hasNext() {
        return true;
      }

      @Override
      public ByteBuffer next() {
        if (!first) {
          throw failure;
        }
        first = false;
        return ByteBuffer.allocate(3);
      }
    };
  }

  @Test
  void theHeaderIsFixedByTheDeclarations() {
    List<Declaration> declarations =
        new ArrayList<>(
            List.of(
                new Declaration("output", DataType.F16, List.of(1L, 3L)),
                new Declaration("log_sum_exp", DataType.F32, List.of(3L)),
                new Declaration("a\"é", DataType.F16, List.of())));
    SafetensorsWriter writer = new SafetensorsWriter(declarations);
    String json =
        "{\"log_sum_exp\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
            + "\"a\\\"é\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[12,14]},"
            + "\"output\":{\"dtype\":\"F16\",\"shape\":[1,3],\"data_offsets\":[14,20]}}";
    String header =
        new String(writer.header(), 8, writer.header().length - 8, StandardCharsets.UTF_8);
    assertThat(header).startsWith(json).isEqualToIgnoringWhitespace(json);
    assertThat(writer.header().length % 8).isZero();
    assertThat(writer.header().length - 8 - json.getBytes(StandardCharsets.UTF_8).length)
        .isBetween(0, 7);
    assertThat(writer.fileBytes()).isEqualTo(writer.header().length + 20);
    Collections.reverse(declarations);
    assertThat(new SafetensorsWriter(declarations).header()).isEqualTo(writer.header());
  }

  @Test
  void offsetsGoBeyondTwoGibibytes() {
    SafetensorsWriter writer =
        new SafetensorsWriter(
            List.of(
                new Declaration("a", DataType.F32, List.of(1L << 20, 1L << 12)),
                new Declaration("b", DataType.F32, List.of(1L << 33))));
    long begin = writer.header().length;
    assertThat(writer.tensors())
        .containsExactly(
            new Tensor("a", DataType.F32, List.of(1L << 20, 1L << 12), begin, 1L << 34),
            new Tensor("b", DataType.F32, List.of(1L << 33), begin + (1L << 34), 1L << 35));
    assertThat(writer.fileBytes()).isEqualTo(begin + (1L << 34) + (1L << 35));
    assertThatThrownBy(
            () ->
                new SafetensorsWriter(
                    List.of(new Declaration("a", DataType.F64, List.of(1L << 60)))))
        .isInstanceOf(ArithmeticException.class);
  }

  @Test
  void refusesNamesTwiceAndReserved() {
    Declaration a = new Declaration("a", DataType.U8, List.of());
    assertThatThrownBy(() -> new SafetensorsWriter(List.of(a, a)))
        .isInstanceOf(IllegalArgumentException.class);
    Declaration metadata = new Declaration("__metadata__", DataType.U8, List.of());
    assertThatThrownBy(() -> new SafetensorsWriter(List.of(metadata)))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @ParameterizedTest
  @EnumSource
  void everyTypeComesBack(DataType type) throws IOException {
    SafetensorsWriter writer =
        new SafetensorsWriter(
            List.of(
                new Declaration("x", type, List.of(5L, 7L)),
                new Declaration("empty", type, List.of(3L, 0L)),
                new Declaration("scalar", type, List.of())));
    byte[] data = new byte[36 * type.bytes()];
    new Random(type.ordinal()).nextBytes(data);
    ByteBuffer direct =
        ByteBuffer.allocateDirect(data.length - 1).put(data, 1, data.length - 1).flip();
    writer.write(path, conf, false, List.of(ByteBuffer.wrap(data, 0, 1), direct).iterator());

    assertThat(names()).containsExactly("out.safetensors");
    assertThat(Files.size(file)).isEqualTo(writer.fileBytes());
    SafetensorsFile read = SafetensorsFile.open(path, conf);
    assertThat(read.tensors().values()).containsExactlyElementsOf(writer.tensors());
    Tensor x = read.tensor("x");
    byte[] back = new byte[data.length];
    try (FSDataInputStream in = read.openStream(conf)) {
      read.readBytes(in, read.tensor("scalar"), 0, back, 0, 1);
      read.readBytes(in, x, 0, back, type.bytes(), 17);
      read.readBytes(in, x, 17, back, 18 * type.bytes(), 18);
      read.readBytes(in, read.tensor("empty"), 0, back, 0, 0);
      assertThat(back).isEqualTo(data);
      if (type.isFloat()) {
        float[] expected = new float[36];
        type.decode(ByteBuffer.wrap(data), expected, 0, 36);
        float[] values = new float[36];
        read.read(in, read.tensor("scalar"), 0, values, 0, 1);
        read.read(in, x, 0, values, 1, 35);
        assertThat(values).isEqualTo(expected);
      }
    }
  }

  @Test
  void anExistingFileNeedsOverwrite() throws IOException {
    Files.writeString(file, "mine");
    String message =
        "Cannot write '"
            + path
            + "': it exists, expected no such file; choose another output or give --overwrite";
    assertThatThrownBy(() -> SafetensorsWriter.requireWritable(path, conf, false))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(message);
    assertThatThrownBy(() -> eightBytes.write(path, conf, false, pieces(8)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(message);
    assertThat(Files.readString(file)).isEqualTo("mine");

    SafetensorsWriter.requireWritable(path, conf, true);
    eightBytes.write(path, conf, true, pieces(8));
    assertThat(SafetensorsFile.open(path, conf).tensor("a").bytes()).isEqualTo(8);
    assertThat(names()).containsExactly("out.safetensors");
  }

  @Test
  void aFileThatAppearsMeanwhileIsKept() throws IOException {
    Iterator<ByteBuffer> slow =
        Stream.of(8)
            .map(
                size -> {
                  try {
                    Files.writeString(file, "theirs");
                  } catch (IOException e) {
                    throw new UncheckedIOException(e);
                  }
                  return ByteBuffer.allocate(size);
                })
            .iterator();
    assertThatThrownBy(() -> eightBytes.write(path, conf, false, slow))
        .isInstanceOf(InvalidInputException.class);
    assertThat(Files.readString(file)).isEqualTo("theirs");
    assertThat(names()).containsExactly("out.safetensors");
  }

  @Test
  void aFolderIsNeverOverwritten() throws IOException {
    Files.createDirectory(file);
    assertThatThrownBy(() -> eightBytes.write(path, conf, true, pieces(8)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot write '" + path + "': it is a folder, expected a file; choose another output");
  }

  @Test
  void aFailureInMidStreamLeavesNothing() throws IOException {
    RuntimeException failure = new RuntimeException("lost an executor");
    assertThatThrownBy(() -> eightBytes.write(path, conf, false, failing(failure)))
        .isSameAs(failure);
    assertThat(names()).isEmpty();

    Files.writeString(file, "mine");
    assertThatThrownBy(() -> eightBytes.write(path, conf, true, failing(failure)))
        .isSameAs(failure);
    assertThat(Files.readString(file)).isEqualTo("mine");
    assertThat(names()).containsExactly("out.safetensors");
  }

  @Test
  void exactlyTheDeclaredBytesMustCome() throws IOException {
    assertThatThrownBy(() -> eightBytes.write(path, conf, false, pieces(4, 3)))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("Invalid tensor data: found 7 bytes, expected 8");
    assertThatThrownBy(() -> eightBytes.write(path, conf, false, pieces(4, 5)))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("Invalid tensor data: found more than 8 bytes, expected 8");
    assertThat(names()).isEmpty();
  }

  @Test
  void missingFoldersAreMadeOnTheWay() throws IOException {
    Path deep = new Path(folder.resolve("a/b/out.safetensors").toString());
    SafetensorsWriter.requireWritable(deep, conf, false);
    eightBytes.write(deep, conf, false, pieces(8));
    assertThat(SafetensorsFile.open(deep, conf).has("a")).isTrue();
  }
}

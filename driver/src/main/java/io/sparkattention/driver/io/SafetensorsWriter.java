package io.sparkattention.driver.io;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.SafetensorsFile.Tensor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Options.Rename;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;

/**
 * Writes one safetensors file that appears whole or not at all. The same declarations give the same
 * header bytes. Tensors lie in the file by element size, widest first, then by name, as in the
 * format's own library: so each is aligned to its elements, which readers that map the file need.
 */
public final class SafetensorsWriter {
  /**
   * A tensor to be written.
   *
   * @param shape the size of each axis; empty for a scalar
   */
  public record Declaration(String name, DataType type, List<Long> shape) {
    public Declaration {
      shape = List.copyOf(shape);
    }

    private long bytes() {
      long bytes = type.bytes();
      for (long size : shape) {
        if (size < 0) {
          throw new IllegalArgumentException("Invalid shape of '" + name + "': " + shape);
        }
        bytes = Math.multiplyExact(bytes, size);
      }
      return bytes;
    }
  }

  private static final Comparator<Declaration> FILE_ORDER =
      Comparator.comparing((Declaration tensor) -> -tensor.type().bytes())
          .thenComparing(Declaration::name);

  private final byte[] header;
  private final List<Tensor> tensors = new ArrayList<>();
  private final long fileBytes;

  /**
   * Lays out the file.
   *
   * @param declarations the tensors in any order, each name once
   */
  public SafetensorsWriter(List<Declaration> declarations) {
    Set<String> names = new HashSet<>(Set.of(SafetensorsHeader.METADATA));
    for (Declaration tensor : declarations) {
      if (!names.add(tensor.name())) {
        throw new IllegalArgumentException("Invalid tensor name, reserved or twice: " + tensor);
      }
    }
    List<Declaration> ordered = declarations.stream().sorted(FILE_ORDER).toList();
    header = header(ordered);
    long end = header.length;
    for (Declaration tensor : ordered) {
      long bytes = tensor.bytes();
      tensors.add(new Tensor(tensor.name(), tensor.type(), tensor.shape(), end, bytes));
      end = Math.addExact(end, bytes);
    }
    fileBytes = end;
  }

  private static byte[] header(List<Declaration> ordered) {
    ByteArrayOutputStream json = new ByteArrayOutputStream();
    try (JsonGenerator generator = new JsonFactory().createGenerator(json)) {
      generator.writeStartObject();
      long end = 0;
      for (Declaration tensor : ordered) {
        generator.writeObjectFieldStart(tensor.name());
        generator.writeStringField("dtype", tensor.type().name());
        long[] shape = tensor.shape().stream().mapToLong(Long::longValue).toArray();
        generator.writeFieldName("shape");
        generator.writeArray(shape, 0, shape.length);
        long begin = end;
        end = Math.addExact(begin, tensor.bytes());
        generator.writeFieldName("data_offsets");
        generator.writeArray(new long[] {begin, end}, 0, 2);
        generator.writeEndObject();
      }
      generator.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    // Spaces up to a multiple of eight: the first tensor starts aligned.
    while (json.size() % Long.BYTES != 0) {
      json.write(' ');
    }
    return ByteBuffer.allocate(SafetensorsHeader.LENGTH_BYTES + json.size())
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(json.size())
        .put(json.toByteArray())
        .array();
  }

  /** The tensors in the order in which they lie in the file, with their absolute offsets. */
  public List<Tensor> tensors() {
    return List.copyOf(tensors);
  }

  /** The bytes before the first tensor: the header's length and the header. */
  public byte[] header() {
    return header.clone();
  }

  /** The size of the whole file. */
  public long fileBytes() {
    return fileBytes;
  }

  /**
   * Checks, before a job starts, that an output may be written.
   *
   * @throws InvalidInputException if the path is a folder, or exists and {@code overwrite} is false
   */
  public static void requireWritable(Path path, Configuration conf, boolean overwrite) {
    try {
      FileSystem files = OutputPath.fileSystem(path, conf);
      if (!files.exists(path)) {
        return;
      }
      if (files.getFileStatus(path).isDirectory()) {
        throw new InvalidInputException(
            "Cannot write '" + path + "': it is a folder, expected a file; choose another output");
      }
      if (!overwrite) {
        throw new InvalidInputException(
            "Cannot write '"
                + path
                + "': it exists, expected no such file; choose another output or give --overwrite");
      }
    } catch (IOException e) {
      throw new InvalidInputException("Cannot write '" + path + "': " + e.getMessage(), e);
    }
  }

  /**
   * Streams the file to a temporary sibling and renames it at the end. If anything fails, the
   * sibling is deleted and an existing file stays as it was.
   *
   * @param pieces the bytes of all tensors in the order of {@link #tensors()}, cut anywhere; each
   *     piece is consumed before the next is asked for, so one buffer may serve for all
   * @throws InvalidInputException as {@link #requireWritable}
   * @throws IllegalStateException if the pieces are not exactly the declared bytes
   * @throws UncheckedIOException if writing fails
   */
  public void write(Path path, Configuration conf, boolean overwrite, Iterator<ByteBuffer> pieces) {
    requireWritable(path, conf, overwrite);
    try {
      FileSystem files = SafetensorsFile.fileSystem(path, conf);
      Path target = files.makeQualified(path);
      Path temporary =
          new Path(target.getParent(), "." + target.getName() + "." + UUID.randomUUID() + ".part");
      try {
        try (FSDataOutputStream out = files.create(temporary, false)) {
          // Also when the JVM is asked to end.
          files.deleteOnExit(temporary);
          writeAll(out, pieces);
        }
        requireWritable(path, conf, overwrite);
        rename(files, temporary, target, conf);
      } finally {
        // Not there any more once it has been renamed.
        files.delete(temporary, false);
        files.cancelDeleteOnExit(temporary);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot write '" + path + "': " + e.getMessage(), e);
    }
  }

  private void writeAll(FSDataOutputStream out, Iterator<ByteBuffer> pieces) throws IOException {
    out.write(header);
    long written = header.length;
    while (pieces.hasNext()) {
      ByteBuffer piece = pieces.next();
      written += piece.remaining();
      if (written > fileBytes) {
        break;
      }
      if (piece.hasArray()) {
        out.write(piece.array(), piece.arrayOffset() + piece.position(), piece.remaining());
      } else {
        byte[] copy = new byte[piece.remaining()];
        piece.duplicate().get(copy);
        out.write(copy);
      }
    }
    if (written != fileBytes) {
      throw new IllegalStateException(
          "Invalid tensor data: found "
              + (written > fileBytes
                  ? "more than " + (fileBytes - header.length)
                  : written - header.length)
              + " bytes, expected "
              + (fileBytes - header.length));
    }
  }

  /**
   * Replaces the target in one step; {@link FileSystem#rename} alone would refuse or not be atomic.
   */
  private static void rename(FileSystem files, Path from, Path to, Configuration conf)
      throws IOException {
    if (files instanceof RawLocalFileSystem local) {
      Files.move(
          local.pathToFile(from).toPath(),
          local.pathToFile(to).toPath(),
          StandardCopyOption.ATOMIC_MOVE);
    } else {
      FileContext.getFileContext(to.toUri(), conf).rename(from, to, Rename.OVERWRITE);
    }
  }
}

package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.UnsupportedFileSystemException;

/**
 * A safetensors file whose header has been read and checked: eight bytes with the header's length,
 * a JSON header, then the tensors' elements, row-major and little-endian, without gaps. The object
 * holds no open file and is small, so it can travel to executors, where each opens a stream of its
 * own. Files may exceed 2 GiB.
 *
 * <p>Every method that reads throws {@link InvalidInputException} where the file is not what it has
 * to be, and {@link UncheckedIOException} where reading fails.
 *
 * @see <a href="https://github.com/huggingface/safetensors#format">the format</a>
 */
public final class SafetensorsFile implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Large enough that a distributed file system's cost per request does not matter. */
  private static final int READ_BYTES = 1 << 20;

  private static final int NAMES_SHOWN = 20;

  /**
   * Where one tensor lies: {@code bytes} bytes from the absolute offset {@code begin} of its file.
   *
   * @param shape the size of each axis; empty for a scalar
   */
  public record Tensor(String name, DataType type, List<Long> shape, long begin, long bytes)
      implements Serializable {
    public Tensor {
      shape = List.copyOf(shape);
    }

    /** The number of elements; 1 for a scalar. */
    public long elements() {
      return bytes / type.bytes();
    }

    /** The number of axes. */
    public int rank() {
      return shape.size();
    }

    /** The size of one axis. */
    public long size(int axis) {
      return shape.get(axis);
    }
  }

  /** As it was given, for messages. */
  private final String name;

  /** With its scheme, which executors may not know otherwise. */
  private final String path;

  private final LinkedHashMap<String, Tensor> tensors;

  private SafetensorsFile(String name, String path, List<Tensor> inFileOrder) {
    this.name = name;
    this.path = path;
    this.tensors = new LinkedHashMap<>();
    for (Tensor tensor : inFileOrder) {
      tensors.put(tensor.name(), tensor);
    }
  }

  /** Reads and checks the header. */
  public static SafetensorsFile open(Path path, Configuration conf) {
    try {
      FileSystem files = fileSystem(path, conf);
      FileStatus status = files.getFileStatus(path);
      if (status.isDirectory()) {
        throw new InvalidInputException(
            "Cannot read '"
                + path
                + "': it is a folder, expected a safetensors file; name the file");
      }
      try (FSDataInputStream in = files.open(path)) {
        String name = path.toString();
        SafetensorsHeader header = SafetensorsHeader.read(name, in, status.getLen());
        return new SafetensorsFile(name, files.makeQualified(path).toString(), header.tensors());
      }
    } catch (FileNotFoundException | UnsupportedFileSystemException e) {
      throw new InvalidInputException(
          "Cannot read '"
              + path
              + "': "
              + reason(e)
              + ", expected a safetensors file; check the path",
          e);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read '" + path + "': " + e.getMessage(), e);
    }
  }

  private static String reason(IOException e) {
    return e instanceof UnsupportedFileSystemException
        ? e.getMessage()
        : "no such file, or no right to read it";
  }

  /**
   * The file system of a path; local files without Hadoop's checksum files beside them, which
   * nothing else keeps up to date.
   */
  static FileSystem fileSystem(Path path, Configuration conf) throws IOException {
    FileSystem files = path.getFileSystem(conf);
    return files instanceof LocalFileSystem local ? local.getRawFileSystem() : files;
  }

  /** The file's path as it was given, for messages. */
  public String name() {
    return name;
  }

  /** The file's full path, with its scheme. */
  public Path path() {
    return new Path(path);
  }

  /** All tensors by name, in the order in which they lie in the file. */
  public Map<String, Tensor> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  /** Whether the file has a tensor of that name. */
  public boolean has(String name) {
    return tensors.containsKey(name);
  }

  /**
   * The tensor of that name.
   *
   * @throws InvalidInputException if there is none; the message lists those that are there
   */
  public Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new InvalidInputException(
          "Missing tensor '"
              + name
              + "' in '"
              + this.name
              + "': found "
              + names()
              + "; add the tensor");
    }
    return tensor;
  }

  private String names() {
    if (tensors.isEmpty()) {
      return "no tensors";
    }
    int more = tensors.size() - NAMES_SHOWN;
    return tensors.keySet().stream()
            .sorted()
            .limit(NAMES_SHOWN)
            .map(SafetensorsHeader::quoted)
            .collect(Collectors.joining(", "))
        + (more > 0 ? " and " + more + " more" : "");
  }

  /** Opens a stream for {@link #read} and {@link #readBytes}; the caller closes it. */
  public FSDataInputStream openStream(Configuration conf) {
    try {
      return fileSystem(path(), conf).open(path());
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read '" + path + "': " + e.getMessage(), e);
    }
  }

  /**
   * Reads {@code count} elements of a float tensor from {@code firstElement} on into {@code
   * target[offset], …} as float32. Does not move the stream, so threads may share it.
   */
  public void read(
      FSDataInputStream in,
      Tensor tensor,
      long firstElement,
      float[] target,
      int offset,
      int count) {
    Objects.checkFromIndexSize(offset, count, target.length);
    DataType type = tensor.type();
    int step = READ_BYTES / type.bytes();
    byte[] buffer = new byte[Math.min(count, step) * type.bytes()];
    ByteBuffer elements = ByteBuffer.wrap(buffer).order(ByteOrder.LITTLE_ENDIAN);
    for (int done = 0; done < count; done += step) {
      int now = Math.min(step, count - done);
      readBytes(in, tensor, firstElement + done, buffer, 0, now);
      type.decode(elements.clear(), target, offset + done, now);
    }
  }

  /**
   * Reads {@code count} elements of a tensor of any type, as they lie in the file, from {@code
   * firstElement} on into {@code target[offset], …} ({@code count · type.bytes()} bytes).
   */
  public void readBytes(
      FSDataInputStream in,
      Tensor tensor,
      long firstElement,
      byte[] target,
      int offset,
      int count) {
    Objects.checkFromIndexSize(firstElement, count, tensor.elements());
    int bytes = Math.multiplyExact(count, tensor.type().bytes());
    try {
      in.readFully(tensor.begin() + firstElement * tensor.type().bytes(), target, offset, bytes);
    } catch (EOFException e) {
      throw new InvalidInputException(
          "Cannot read tensor '"
              + tensor.name()
              + "' of '"
              + name
              + "': the file ends early, although its header was right; leave it unchanged during a run",
          e);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read '" + path + "': " + e.getMessage(), e);
    }
  }

  /**
   * Reads all elements of a tensor of I64 or I32, which has to be small.
   *
   * @throws InvalidInputException if the tensor has another type
   */
  public long[] readIntegers(FSDataInputStream in, Tensor tensor) {
    if (tensor.type() != DataType.I64 && tensor.type() != DataType.I32) {
      throw new InvalidInputException(
          "Invalid tensor '%s' in '%s': found type %s, expected I64 or I32; convert it"
              .formatted(tensor.name(), name, tensor.type()));
    }
    int count = Math.toIntExact(tensor.elements());
    byte[] bytes = new byte[Math.toIntExact(tensor.bytes())];
    readBytes(in, tensor, 0, bytes, 0, count);
    ByteBuffer elements = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    long[] integers = new long[count];
    for (int i = 0; i < count; i++) {
      integers[i] =
          tensor.type() == DataType.I64
              ? elements.getLong(i * Long.BYTES)
              : elements.getInt(i * Integer.BYTES);
    }
    return integers;
  }
}

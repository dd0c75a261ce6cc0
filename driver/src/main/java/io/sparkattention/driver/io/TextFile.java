package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.UnsupportedFileSystemException;

/** One UTF-8 text file on any file system that Hadoop reaches. */
public final class TextFile {
  /** The longest array of any JVM. */
  private static final int MAX_BYTES = Integer.MAX_VALUE - 8;

  private final String what;
  private final Path path;

  /**
   * @param what what the file holds, for messages
   * @param path a relative one is that of Hadoop's default file system
   * @throws InvalidInputException for a text that is no path
   */
  public TextFile(String what, String path) {
    this.what = what;
    try {
      this.path = new Path(path);
    } catch (IllegalArgumentException e) {
      throw new InvalidInputException(
          "Cannot read %s '%s': expected a path such as folder/name or hdfs://host/name"
              .formatted(what, path),
          e);
    }
  }

  /** The file's own name, without its folder. */
  public String name() {
    return path.getName();
  }

  /**
   * The whole text.
   *
   * @throws InvalidInputException if the file cannot be read, is too long or no UTF-8
   */
  public String read(Configuration hadoop) {
    return decode(bytes(hadoop));
  }

  private InvalidInputException unreadable(String reason, Throwable cause) {
    return new InvalidInputException(
        "Cannot read %s '%s': %s".formatted(what, path, reason), cause);
  }

  private byte[] bytes(Configuration hadoop) {
    try {
      FileSystem files = SafetensorsFile.fileSystem(path, hadoop);
      FileStatus status = files.getFileStatus(path);
      if (status.isDirectory()) {
        throw unreadable("found a folder, expected one text file; name the file", null);
      }
      if (status.getLen() > MAX_BYTES) {
        throw unreadable(
            "found " + status.getLen() + " bytes, expected less than 2 GiB; split the file", null);
      }
      byte[] bytes = new byte[(int) status.getLen()];
      try (FSDataInputStream in = files.open(path)) {
        in.readFully(0, bytes);
      }
      return bytes;
    } catch (FileNotFoundException e) {
      throw unreadable("no such file, or no right to read it; check the path", e);
    } catch (UnsupportedFileSystemException e) {
      throw unreadable("unknown file system; check what stands before '://'", e);
    } catch (IOException e) {
      throw unreadable(e.getMessage() + "; make the file readable", e);
    }
  }

  private String decode(byte[] bytes) {
    CharsetDecoder decoder =
        StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT);
    ByteBuffer in = ByteBuffer.wrap(bytes);
    // UTF-8 never yields more UTF-16 units than it has bytes.
    CharBuffer out = CharBuffer.allocate(bytes.length);
    if (decoder.decode(in, out, true).isError()) {
      throw unreadable(
          "found malformed UTF-8 at byte " + in.position() + "; expected UTF-8: convert the file",
          null);
    }
    return out.flip().toString();
  }
}

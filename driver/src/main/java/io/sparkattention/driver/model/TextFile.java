package io.sparkattention.driver.model;

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

/** One UTF-8 text file on any file system that Hadoop reaches. */
final class TextFile {
  private final Path path;

  TextFile(String path) {
    this.path = new Path(path);
  }

  /** The file's own name, without its folder. */
  String name() {
    return path.getName();
  }

  /** The whole text; malformed UTF-8 and an empty file are refused. */
  String read(Configuration hadoop) {
    String text = decode(bytes(hadoop));
    if (text.isBlank()) {
      throw new InvalidInputException(
          "Cannot project " + path + ": found no text in it, expected at least one word");
    }
    return text;
  }

  private byte[] bytes(Configuration hadoop) {
    try {
      FileSystem files = path.getFileSystem(hadoop);
      FileStatus status = files.getFileStatus(path);
      if (status.isDirectory()) {
        throw new InvalidInputException(
            "Cannot read text " + path + ": found a folder, expected one text file");
      }
      if (status.getLen() > Integer.MAX_VALUE - 8) {
        throw new InvalidInputException(
            "Cannot read text "
                + path
                + ": found "
                + status.getLen()
                + " bytes, expected less than 2 GiB; split the file");
      }
      byte[] bytes = new byte[(int) status.getLen()];
      try (FSDataInputStream in = files.open(path)) {
        in.readFully(0, bytes);
      }
      return bytes;
    } catch (FileNotFoundException e) {
      throw new InvalidInputException(
          "Cannot read text " + path + ": no such file; check the path", e);
    } catch (IOException e) {
      throw new InvalidInputException(
          "Cannot read text " + path + ": " + e.getMessage() + "; make the file readable", e);
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
      throw new InvalidInputException(
          "Cannot read text "
              + path
              + ": found malformed UTF-8 at byte "
              + in.position()
              + "; expected UTF-8: convert the file");
    }
    return out.flip().toString();
  }
}

package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import java.io.FileNotFoundException;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.UnsupportedFileSystemException;

/** What is checked of every output's path before a run, so that no run is lost at its end. */
public final class OutputPath {
  private OutputPath() {}

  /**
   * The file system of an output whose parents are folders or can be made.
   *
   * @throws InvalidInputException if a parent is a file, or there is no such file system
   */
  public static FileSystem fileSystem(Path output, Configuration hadoop) throws IOException {
    FileSystem files;
    try {
      files = SafetensorsFile.fileSystem(output, hadoop);
    } catch (UnsupportedFileSystemException e) {
      throw new InvalidInputException(
          "Cannot write '" + output + "': unknown file system; check what stands before '://'", e);
    }
    for (Path parent = output.getParent(); parent != null; parent = parent.getParent()) {
      try {
        if (files.getFileStatus(parent).isDirectory()) {
          return files;
        }
      } catch (FileNotFoundException e) {
        // It will be made.
        continue;
      }
      throw new InvalidInputException(
          "Cannot write '"
              + output
              + "': '"
              + parent
              + "' is a file, expected a folder; choose another path");
    }
    return files;
  }
}

package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import java.io.IOException;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * An output folder that appears whole or not at all: it is written beside its final place and
 * renamed at the end. Closing it before {@link #commit} takes everything back.
 */
public final class StagedOutput implements AutoCloseable {
  private final FileSystem files;
  private final Path output;
  private final Path staged;
  private final boolean overwrite;

  /** Refuses an output that exists already, unless it may be overwritten. */
  public StagedOutput(String output, boolean overwrite, Configuration hadoop) throws IOException {
    this.output = new Path(output);
    this.files = OutputPath.fileSystem(this.output, hadoop);
    this.staged = sibling("temporary");
    this.overwrite = overwrite;
    refuseExisting();
  }

  private void refuseExisting() throws IOException {
    if (!overwrite && files.exists(output)) {
      throw new InvalidInputException(
          "Cannot write '" + output + "': it exists already; give another path or --overwrite");
    }
  }

  private Path sibling(String purpose) {
    return output.suffix("._" + purpose + "-" + UUID.randomUUID());
  }

  /** Where to write. */
  public String path() {
    return staged.toString();
  }

  /** Puts what was written in its place. What it replaces goes last: a failure can put it back. */
  public void commit() throws IOException {
    // Asked again: Hadoop moves a folder into an existing one instead of failing.
    refuseExisting();
    Path replaced = sibling("replaced");
    boolean replaces = files.exists(output);
    if (replaces) {
      rename(output, replaced);
    }
    try {
      rename(staged, output);
    } catch (IOException e) {
      if (replaces) {
        rename(replaced, output);
      }
      throw e;
    }
    if (replaces) {
      files.delete(replaced, true);
    }
  }

  private void rename(Path from, Path to) throws IOException {
    if (!files.rename(from, to)) {
      throw new IOException("Cannot rename " + from + " to " + to);
    }
  }

  @Override
  public void close() throws IOException {
    files.delete(staged, true);
  }
}

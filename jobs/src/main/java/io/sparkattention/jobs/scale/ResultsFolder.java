package io.sparkattention.jobs.scale;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.sparkattention.driver.InvalidInputException;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * The folder of an experiment's results: the experiment's settings, a row for each run, and the
 * page. Rows are written as runs end, so that an interrupted experiment goes on where it was. One
 * process has the folder at a time.
 */
public final class ResultsFolder implements Closeable {
  private static final String EXPERIMENT = "experiment.properties";
  private static final String RESULTS = "results.csv";
  private static final String PAGE = "index.html";

  private final Path folder;
  private final FileChannel rows;
  private final List<Result> results = new ArrayList<>();

  private ResultsFolder(Path folder) throws IOException {
    this.folder = folder;
    this.rows =
        FileChannel.open(
            folder.resolve(RESULTS),
            StandardOpenOption.CREATE,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE);
  }

  /**
   * Makes the folder, or reads the results that are there.
   *
   * @param folder on this machine's disk
   * @param restart delete what is there
   * @throws InvalidInputException if the folder cannot be written to, another process has it, or
   *     its results are of another experiment
   */
  public static ResultsFolder open(String folder, Experiment experiment, boolean restart) {
    Path path = path(folder);
    try {
      Files.createDirectories(path);
      ResultsFolder opened = new ResultsFolder(path);
      try {
        opened.lock();
        opened.start(experiment, restart);
        return opened;
      } catch (IOException | RuntimeException e) {
        opened.close();
        throw e;
      }
    } catch (IOException e) {
      throw new InvalidInputException(
          "Cannot write to --output '%s': %s; give another folder".formatted(folder, e), e);
    }
  }

  private static Path path(String folder) {
    try {
      if (folder.isBlank() || folder.matches("[A-Za-z][A-Za-z0-9+.-]+:/.*")) {
        throw new InvalidPathException(folder, "not on this machine's disk");
      }
      return Path.of(folder);
    } catch (InvalidPathException e) {
      throw new InvalidInputException(
          "Invalid --output: found '%s', expected a folder on the disk of the machine where Spark's driver runs"
              .formatted(folder),
          e);
    }
  }

  private void lock() throws IOException {
    boolean locked;
    try {
      locked = rows.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      locked = false;
    }
    if (!locked) {
      throw new InvalidInputException(
          "Cannot write to --output '%s': another process is writing there; wait for it, or give another folder"
              .formatted(folder));
    }
  }

  private void start(Experiment experiment, boolean restart) throws IOException {
    if (restart) {
      rows.truncate(0);
    }
    dropTornLine();
    if (rows.size() == 0) {
      Files.writeString(folder.resolve(EXPERIMENT), experiment.toString());
      Files.deleteIfExists(folder.resolve(PAGE));
      write(Result.COLUMNS);
      return;
    }
    requireSame(experiment);
    read();
  }

  /** A line that an interruption cut off has no end. */
  private void dropTornLine() throws IOException {
    byte[] bytes = Files.readAllBytes(folder.resolve(RESULTS));
    int end = bytes.length;
    while (end > 0 && bytes[end - 1] != '\n') {
      end--;
    }
    rows.truncate(end);
    rows.position(end);
  }

  private void requireSame(Experiment experiment) throws IOException {
    Path file = folder.resolve(EXPERIMENT);
    List<String> found = Files.exists(file) ? Files.readAllLines(file) : List.of();
    List<String> expected = experiment.toString().lines().toList();
    for (int i = 0; i < expected.size(); i++) {
      String line = i < found.size() ? found.get(i) : "nothing";
      if (!line.equals(expected.get(i))) {
        throw new InvalidInputException(
            "Cannot add to --output '%s': its results are of an experiment with '%s', the file has '%s'; give another folder, or --restart to delete them"
                .formatted(folder, line, expected.get(i)));
      }
    }
  }

  private void read() throws IOException {
    List<String> lines = Files.readAllLines(folder.resolve(RESULTS));
    boolean wrong = !Csv.values(lines.get(0)).equals(Result.COLUMNS);
    for (String line : lines.subList(1, lines.size())) {
      List<String> values = Csv.values(line);
      wrong |= values.size() != Result.COLUMNS.size();
      if (!wrong) {
        results.add(Result.of(values));
      }
    }
    if (wrong) {
      throw new InvalidInputException(
          "Cannot add to '%s': found other columns than this version writes, expected %s; give another --output, or --restart to delete it"
              .formatted(folder.resolve(RESULTS), Csv.line(Result.COLUMNS)));
    }
  }

  private void write(List<String> values) throws IOException {
    ByteBuffer line = ByteBuffer.wrap((Csv.line(values) + "\n").getBytes(UTF_8));
    while (line.hasRemaining()) {
      rows.write(line);
    }
    rows.force(false);
  }

  /** Adds a row, which is on the disk when this returns. */
  void add(Result result) throws IOException {
    write(result.row());
    results.add(result);
  }

  /** All rows, in the order in which they were written. */
  List<Result> results() {
    return results;
  }

  /** Replaces the page. */
  public Path writePage(String html) throws IOException {
    Path page = folder.resolve(PAGE);
    Path temporary = folder.resolve(PAGE + "._temporary");
    Files.writeString(temporary, html);
    return Files.move(temporary, page, StandardCopyOption.REPLACE_EXISTING);
  }

  @Override
  public void close() throws IOException {
    // Also ends the lock.
    rows.close();
  }
}

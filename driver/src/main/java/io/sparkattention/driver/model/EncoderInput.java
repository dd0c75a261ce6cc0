package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.TextFile;
import io.sparkattention.driver.model.DistributedEncoder.Document;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Text files as a model reads them, tokenized on Spark's driver: one file, or each file of a
 * folder, is a document with the file's name.
 *
 * @param vocabulary tokens by id, null for ids that do not occur
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record EncoderInput(List<Document> documents, String[] vocabulary) {

  /**
   * Reads and tokenizes.
   *
   * @param path UTF-8 text, or a folder of such files; those that start with a dot or an underscore
   *     are no documents
   * @throws InvalidInputException for what is missing, empty or no text
   */
  public static EncoderInput read(String path, ModelFolder folder, Configuration hadoop) {
    List<Document> documents = new ArrayList<>();
    String[] vocabulary = new String[0];
    try (TextTokenizer tokenizer = TextTokenizer.open(folder)) {
      for (String name : files(path, hadoop)) {
        TextFile file = new TextFile("text", name);
        String text = file.read(hadoop);
        if (text.isBlank()) {
          throw new InvalidInputException(
              "Cannot encode '%s': found no text in it, expected at least one word"
                  .formatted(file.name()));
        }
        TokenizedText tokens = tokenizer.tokenize(text);
        documents.add(new Document(file.name(), tokens.ids()));
        vocabulary = joined(vocabulary, tokens.vocabulary());
      }
    }
    return new EncoderInput(documents, vocabulary);
  }

  private static String[] joined(String[] all, String[] more) {
    String[] joined = all.length < more.length ? Arrays.copyOf(all, more.length) : all;
    for (int id = 0; id < more.length; id++) {
      if (more[id] != null) {
        joined[id] = more[id];
      }
    }
    return joined;
  }

  private static List<String> files(String path, Configuration hadoop) {
    if (path.endsWith(".parquet")) {
      throw new InvalidInputException(
          "Cannot encode '%s': Parquet input is not supported yet; give a text file or a folder of them"
              .formatted(path));
    }
    try {
      Path root = new Path(path);
      FileSystem system = root.getFileSystem(hadoop);
      if (system.getFileStatus(root).isFile()) {
        return List.of(path);
      }
      FileStatus[] found = system.listStatus(root);
      List<String> files =
          Arrays.stream(found)
              .map(FileStatus::getPath)
              .filter(file -> !file.getName().startsWith(".") && !file.getName().startsWith("_"))
              .map(Path::toString)
              .sorted()
              .toList();
      if (files.isEmpty() || files.stream().anyMatch(file -> file.endsWith(".parquet"))) {
        throw new InvalidInputException(
            "Cannot encode '%s': found %s, expected text files in the folder"
                .formatted(path, files.isEmpty() ? "no files" : "Parquet, not supported yet"));
      }
      return files;
    } catch (FileNotFoundException e) {
      throw new InvalidInputException(
          "Cannot read text '%s': no such file or folder; check the path".formatted(path), e);
    } catch (IOException | IllegalArgumentException e) {
      throw new InvalidInputException(
          "Cannot read text '%s': %s; check the path".formatted(path, e.getMessage()), e);
    }
  }
}

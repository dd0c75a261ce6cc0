package io.sparkattention.driver.io;

import java.util.function.Function;
import org.apache.hadoop.conf.Configuration;

/** The lists that the texts of settings name as {@code @FILE}, for {@code AttentionConfig}. */
public final class ListFiles {
  private ListFiles() {}

  /**
   * Reads lists from UTF-8 files on any file system that Hadoop reaches, here and now: tasks get
   * the settings with their lists.
   *
   * @return from a file's path to its text; throws {@code InvalidInputException} for a file that
   *     cannot be read
   */
  public static Function<String, String> from(Configuration hadoop) {
    return file -> new TextFile("list", file).read(hadoop);
  }
}

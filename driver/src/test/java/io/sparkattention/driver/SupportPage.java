package io.sparkattention.driver;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The committed page of what is supported: its tables are what tests saw. With {@code
 * -Dattention.support.write=true} a table is written instead of compared.
 */
final class SupportPage {
  private static final Path FILE = Path.of("SUPPORT.md");
  private static final String SECTION = "\n## ";

  private static final String BEGINNING =
      """
      # What works with what

      Written by a test, `SupportTest`, which fails when this page is not what it saw. To write it anew, from the root:

      ```
      mvn -q -B -ntp -pl driver -am test -Dtest=SupportTest -Dsurefire.failIfNoSpecifiedTests=false -Dattention.support.write=true
      ```

      ✓ means: run by the exchanges `ring` and `reduce`, over different numbers of shards from 1 to 7, the two have the same bits, and
      their result is that of the formula in float64. Inputs take turns: as many queries as keys, more or fewer of them, aligned at the
      first or the last key, behind a past, with padding; of odd sizes and several blocks, and with queries that see nothing.
      A number is a note below its table. What masks, scores and tensors are: [the command line](../jobs/README.md#attend).
      """;

  private SupportPage() {}

  /**
   * Compares or writes a section.
   *
   * @param title begins with the number that orders the sections
   */
  static void check(String title, String text) {
    Map<String, String> sections = sections();
    String found = sections.get(title);
    if (Boolean.getBoolean("attention.support.write")) {
      sections.put(title, text);
      write(BEGINNING + String.join("", parts(sections)));
      return;
    }
    assertThat(found)
        .as("section '%s' of %s; write it anew as its beginning says", title, FILE)
        .isEqualTo(text);
    assertThat(read()).startsWith(BEGINNING);
  }

  private static List<String> parts(Map<String, String> sections) {
    List<String> parts = new ArrayList<>();
    sections.forEach((title, text) -> parts.add(SECTION + title + "\n\n" + text));
    return parts;
  }

  /** The sections of the committed page, by title. */
  private static Map<String, String> sections() {
    Map<String, String> sections = new TreeMap<>();
    String[] parts = read().split(SECTION, -1);
    for (int i = 1; i < parts.length; i++) {
      String[] titleAndText = parts[i].split("\n\n", 2);
      sections.put(titleAndText[0], titleAndText[1]);
    }
    return sections;
  }

  private static String read() {
    try {
      return Files.exists(FILE) ? Files.readString(FILE) : "";
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void write(String page) {
    try {
      Files.writeString(FILE, page);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

package io.sparkattention.jobs;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Questions with known right passages, out of a documented Scala source: each method's name, cut
 * into words, asks for the method's documentation. Of overloaded methods the first counts.
 */
final class ScaladocQuestions {
  private static final Pattern DOCUMENTED =
      Pattern.compile(
          "/\\*\\*((?:(?!\\*/).)*)\\*/\\s*(?:@[\\w.]+(?:\\([^)]*\\))?\\s+)*(?:\\w+\\s+)*?def (\\w+)",
          Pattern.DOTALL);

  /** Characters of a passage at most: some 300 tokens. */
  private static final int LONGEST = 1200;

  private ScaladocQuestions() {}

  /** Writes {@code questions.tsv} and {@code passages.tsv}; returns how many there are. */
  static int write(Path source, Path folder) throws IOException {
    Map<String, String> passages = new LinkedHashMap<>();
    Matcher matcher = DOCUMENTED.matcher(Files.readString(source));
    while (matcher.find()) {
      passages.putIfAbsent(matcher.group(2), passage(matcher.group(1)));
    }
    passages.values().removeIf(String::isBlank);
    StringBuilder questions = new StringBuilder();
    StringBuilder texts = new StringBuilder();
    passages.forEach(
        (name, text) -> {
          questions.append(words(name)).append('\t').append(name).append('\n');
          texts.append(name).append('\t').append(text).append('\n');
        });
    Files.writeString(folder.resolve("questions.tsv"), questions);
    Files.writeString(folder.resolve("passages.tsv"), texts);
    return passages.size();
  }

  private static String words(String name) {
    return name.replaceAll("([a-z])([A-Z])", "$1 $2").toLowerCase(Locale.ROOT);
  }

  /** The prose alone: no comment stars, tags or code. */
  private static String passage(String comment) {
    String text =
        comment.replaceAll("(?m)^\\s*\\*", " ").replaceAll("(?s)\\{\\{\\{.*?\\}\\}\\}", " ");
    text = text.replaceAll("(?s)@(group|since|param|note|return)\\b.*", " ");
    text = text.replaceAll("\\s+", " ").strip();
    int end = text.length() <= LONGEST ? text.length() : text.lastIndexOf(' ', LONGEST);
    return text.substring(0, end);
  }
}

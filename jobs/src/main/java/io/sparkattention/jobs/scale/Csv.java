package io.sparkattention.jobs.scale;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** Lines of comma-separated values (RFC 4180), each record on one line. */
public final class Csv {
  private Csv() {}

  /** A record without its line's end; what would end the line inside a value becomes a space. */
  public static String line(List<String> values) {
    return values.stream().map(Csv::quoted).collect(Collectors.joining(","));
  }

  private static String quoted(String value) {
    String text = value.replaceAll("\\R", " ");
    return text.matches(".*[\",].*") ? '"' + text.replace("\"", "\"\"") + '"' : text;
  }

  /** The values of a line. */
  static List<String> values(String line) {
    List<String> values = new ArrayList<>();
    StringBuilder value = new StringBuilder();
    boolean inQuotes = false;
    for (int i = 0; i < line.length(); i++) {
      char c = line.charAt(i);
      if (c == '"' && inQuotes && i + 1 < line.length() && line.charAt(i + 1) == '"') {
        value.append('"');
        i++;
      } else if (c == '"') {
        inQuotes = !inQuotes;
      } else if (c == ',' && !inQuotes) {
        values.add(value.toString());
        value.setLength(0);
      } else {
        value.append(c);
      }
    }
    values.add(value.toString());
    return values;
  }
}

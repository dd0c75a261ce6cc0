package io.sparkattention.driver;

import java.util.ArrayList;
import java.util.List;

/** A Markdown table whose cells are short: what takes a sentence becomes a numbered note. */
final class SupportTable {
  private final List<String> lines = new ArrayList<>();
  private final List<String> notes = new ArrayList<>();

  SupportTable(List<String> columns) {
    lines.add("| | " + String.join(" | ", columns) + " |");
    lines.add("|---".repeat(columns.size() + 1) + "|");
  }

  void row(String label, List<String> cells) {
    lines.add("| " + label + " | " + String.join(" | ", cells) + " |");
  }

  /** What a cell shows of a result: that it is right, or the number of its note. */
  String cell(String result) {
    if (result.equals(SupportRuns.RIGHT)) {
      return result;
    }
    if (!notes.contains(result)) {
      notes.add(result);
    }
    return Integer.toString(notes.indexOf(result) + 1);
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder(String.join("\n", lines)).append('\n');
    for (int i = 0; i < notes.size(); i++) {
      text.append(i == 0 ? "\n" : "").append(i + 1).append(". ").append(notes.get(i)).append('\n');
    }
    return text.toString();
  }
}

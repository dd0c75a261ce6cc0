package io.sparkattention.driver;

import io.sparkattention.driver.io.DataType;
import io.sparkattention.kernels.HeadLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every mask and every score function with every other, and the page that says so. */
class SupportTest {
  private static final MaskKind[] MASKS = MaskKind.values();
  private static final ScoreFunction[] SCORES = ScoreFunction.values();
  private static final List<DataType> TYPES =
      List.of(DataType.F32, DataType.F16, DataType.BF16, DataType.F64);

  /** All of {@link ScoreFunction#HEADS} query heads, so that one list of slopes fits them. */
  private static final Map<String, HeadLayout> LAYOUTS = layouts();

  private static final String ONE_TENSOR =
      "An input has one `attn_mask`: what two say is one tensor of numbers.";
  private static final String NO_TERM =
      "Refused: `--mask` does not know a tensor's name. A tensor joins it as `&` does.";
  private static final Set<ScoreFunction> RELATIVE =
      EnumSet.of(ScoreFunction.RELATIVE_BOTH_WAYS, ScoreFunction.RELATIVE_CAUSAL);

  private static final String ONE_KIND = "`--relative-bias` is of one kind.";

  @TempDir private Path folder;
  private SupportRuns runs;

  @BeforeEach
  void open() {
    runs = new SupportRuns(folder);
  }

  private static Map<String, HeadLayout> layouts() {
    Map<String, HeadLayout> layouts = new LinkedHashMap<>();
    layouts.put("multi-head 6:6", new HeadLayout(6, 6, 16, 16));
    layouts.put("grouped 6:2", new HeadLayout(6, 2, 16, 16));
    layouts.put("multi-query 6:1", new HeadLayout(6, 1, 16, 16));
    layouts.put("valueDim 20 ≠ keyDim 12", new HeadLayout(6, 3, 12, 20));
    layouts.put("headDim 7, 13", new HeadLayout(6, 2, 7, 13));
    layouts.put("headDim 1", new HeadLayout(6, 2, 1, 1));
    return layouts;
  }

  /** Inputs take turns, in another rhythm than the numbers of shards. */
  private static InputShape shape(int row, int column) {
    InputShape[] shapes = InputShape.values();
    return shapes[(row + 2 * column) % shapes.length];
  }

  /**
   * Of a place in a table: the result of a cell, or the note of what cannot be asked for.
   *
   * @param cell null where there is none
   * @param note shown instead of the message of a refusal; null: that message
   */
  private record Entry(SupportCell cell, String note) {
    static Entry of(SupportCell cell) {
      return new Entry(cell, null);
    }

    String text(String result) {
      return note == null || result.equals(SupportRuns.RIGHT) ? result : note;
    }
  }

  /** The entries of a place in a table. */
  @FunctionalInterface
  private interface Places {
    List<Entry> at(int row, int column);
  }

  /** Runs all cells and renders what they showed. */
  private String table(List<String> rows, List<String> columns, Places places)
      throws InterruptedException {
    List<SupportCell> cells = new ArrayList<>();
    for (int row = 0; row < rows.size(); row++) {
      for (int column = 0; column < columns.size(); column++) {
        places.at(row, column).stream()
            .map(Entry::cell)
            .filter(Objects::nonNull)
            .forEach(cells::add);
      }
    }
    Iterator<String> results = runs.attend(cells).iterator();
    SupportTable table = new SupportTable(columns);
    for (int row = 0; row < rows.size(); row++) {
      List<String> line = new ArrayList<>();
      for (int column = 0; column < columns.size(); column++) {
        List<String> shown = new ArrayList<>();
        for (Entry entry : places.at(row, column)) {
          shown.add(table.cell(entry.text(entry.cell() == null ? "" : results.next())));
        }
        line.add(String.join(" ", shown));
      }
      table.row(rows.get(row), line);
    }
    return table.toString();
  }

  private static List<String> numbers(int count) {
    return IntStream.rangeClosed(1, count).mapToObj(Integer::toString).toList();
  }

  private static List<String> numbered(List<String> labels) {
    return IntStream.range(0, labels.size()).mapToObj(i -> i + 1 + " " + labels.get(i)).toList();
  }

  private static List<String> masks() {
    return Arrays.stream(MASKS).map(MaskKind::label).toList();
  }

  private static List<String> scores() {
    return Arrays.stream(SCORES).map(ScoreFunction::label).toList();
  }

  /** Each pair once, in an order that alternates: neither {@code &} nor {@code |} has one. */
  @Test
  void masksWithMasks() throws InterruptedException {
    String table =
        table(
            numbered(masks()),
            numbers(MASKS.length),
            (row, column) ->
                column > row
                    ? List.of()
                    : (row + column) % 2 == 0
                        ? both(MASKS[row], MASKS[column], shape(row, column))
                        : both(MASKS[column], MASKS[row], shape(row, column)));
    SupportPage.check(
        "1. Masks with masks",
        "First `A & B`, then `A \\| B`; the columns have the numbers of the rows.\n\n" + table);
  }

  private static List<Entry> both(MaskKind one, MaskKind other, InputShape shape) {
    if (one.isTensor() && other.isTensor()) {
      return List.of(new Entry(null, ONE_TENSOR));
    }
    boolean tensor = one.isTensor() || other.isTensor();
    return List.of(
        Entry.of(SupportCell.of(one, "&", other, shape)),
        new Entry(SupportCell.of(one, "|", other, shape), tensor ? NO_TERM : null));
  }

  @Test
  void masksWithScores() throws InterruptedException {
    String table =
        table(
            masks(),
            scores(),
            (row, column) ->
                List.of(
                    Entry.of(
                        SupportCell.of(
                            MASKS[row], ScoreFunctions.of(SCORES[column]), shape(row, column)))));
    SupportPage.check("2. Masks with scores", table);
  }

  /** Under the mask that leaves the most pairs; on the diagonal each alone. */
  @Test
  void scoresWithScores() throws InterruptedException {
    String table =
        table(
            numbered(scores()),
            numbers(SCORES.length),
            (row, column) -> {
              ScoreFunctions both = ScoreFunctions.of(SCORES[row], SCORES[column]);
              if (column > row) {
                return List.of();
              }
              return both.all().containsAll(RELATIVE)
                  ? List.of(new Entry(null, ONE_KIND))
                  : List.of(Entry.of(SupportCell.of(MaskKind.FULL, both, shape(row, column))));
            });
    SupportPage.check(
        "3. Scores with scores",
        "The columns have the numbers of the rows; on the diagonal a score function is alone."
            + " A tensor of biases is `attn_mask` numbers in the table before.\n\n"
            + table);
  }

  @Test
  void typesAndHeads() throws InterruptedException {
    List<SupportCell> plain = new ArrayList<>();
    for (MaskKind mask : MASKS) {
      plain.add(SupportCell.of(mask, ScoreFunctions.of(), InputShape.SELF));
    }
    for (ScoreFunction function : SCORES) {
      plain.add(SupportCell.of(MaskKind.CAUSAL, ScoreFunctions.of(function), InputShape.SELF));
    }
    List<HeadLayout> layouts = List.copyOf(LAYOUTS.values());
    List<String> columns = new ArrayList<>(TYPES.stream().map(DataType::name).toList());
    columns.addAll(LAYOUTS.keySet());
    String table =
        table(
            Stream.concat(masks().stream(), scores().stream()).toList(),
            columns,
            (row, column) -> {
              SupportCell cell = plain.get(row).with(shape(row, column));
              return List.of(
                  Entry.of(
                      column < TYPES.size()
                          ? cell.with(TYPES.get(column))
                          : cell.with(layouts.get(column - TYPES.size()))));
            });
    SupportPage.check(
        "4. Element types and head layouts",
        "Types are those of all tensors, heads are queries : keys and values. Scores are under `causal`.\n\n"
            + table);
  }
}

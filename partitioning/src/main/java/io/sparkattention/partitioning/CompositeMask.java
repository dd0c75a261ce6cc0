package io.sparkattention.partitioning;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The union or the intersection of at least two masks: the offset matters to each as it does alone.
 */
final class CompositeMask extends AttentionMask {

  /** How masks are combined; each is the other's dual. */
  enum Operator {
    UNION(" | ", Coverage.EMPTY, Coverage.FULL),
    INTERSECTION(" & ", Coverage.FULL, Coverage.EMPTY);

    private final String symbol;

    /** The coverage of a part that changes nothing. */
    private final Coverage neutral;

    /** The coverage of a part that decides alone. */
    private final Coverage absorbing;

    Operator(String symbol, Coverage neutral, Coverage absorbing) {
      this.symbol = symbol;
      this.neutral = neutral;
      this.absorbing = absorbing;
    }
  }

  /** Side of the largest area whose pairs are counted bit by word rather than by halves. */
  private static final long COUNTED_SIDE = 256;

  private final Operator operator;
  private final List<AttentionMask> parts;

  private CompositeMask(Operator operator, List<AttentionMask> parts) {
    this.operator = operator;
    this.parts = parts;
  }

  /** One mask is itself; composites of the same operator are taken apart. */
  static AttentionMask of(Operator operator, List<AttentionMask> masks) {
    if (masks.isEmpty()) {
      throw new IllegalArgumentException(
          "Invalid " + operator.name().toLowerCase(Locale.ROOT) + ": no masks (expected some)");
    }
    List<AttentionMask> parts = new ArrayList<>();
    for (AttentionMask mask : masks) {
      if (mask instanceof CompositeMask composite && composite.operator == operator) {
        parts.addAll(composite.parts);
      } else {
        parts.add(mask);
      }
    }
    if (parts.stream().flatMap(part -> part.topK().stream()).distinct().count() > 1) {
      throw new IllegalArgumentException(
          "Invalid mask: two kinds of block top-k (expected one COUNT and SIZE in all of it)");
    }
    return parts.size() == 1 ? parts.get(0) : new CompositeMask(operator, List.copyOf(parts));
  }

  @Override
  public long namedEnd() {
    return parts.stream().mapToLong(AttentionMask::namedEnd).max().orElse(0);
  }

  @Override
  public Optional<TopK> topK() {
    return parts.stream().flatMap(part -> part.topK().stream()).findFirst();
  }

  /** PARTIAL where no part decides alone, although the parts may complete each other. */
  @Override
  Coverage coverage(Area area) {
    boolean neutral = true;
    for (AttentionMask part : parts) {
      Coverage coverage = part.coverage(area);
      if (coverage == operator.absorbing) {
        return coverage;
      }
      neutral &= coverage == operator.neutral;
    }
    return neutral ? operator.neutral : Coverage.PARTIAL;
  }

  /**
   * The mask that an area sees: of the parts that are not neutral in it; full or an empty mask
   * where the coverage says so.
   */
  private AttentionMask within(Area area) {
    List<AttentionMask> remaining = new ArrayList<>(parts.size());
    for (AttentionMask part : parts) {
      Coverage coverage = part.coverage(area);
      if (coverage == operator.absorbing) {
        return allOrNone(coverage);
      }
      if (coverage != operator.neutral) {
        remaining.add(part);
      }
    }
    if (remaining.size() == parts.size()) {
      return this;
    }
    return remaining.isEmpty() ? allOrNone(operator.neutral) : of(operator, remaining);
  }

  private static AttentionMask allOrNone(Coverage coverage) {
    return coverage == Coverage.FULL ? BandMask.FULL : SinkMask.NONE;
  }

  /**
   * Of what remains of the mask in an area: by its own count where that is one part, else of the
   * area's halves, down to areas that are counted from their words.
   */
  @Override
  long visiblePairs(Area area) {
    AttentionMask mask = within(area);
    if (!(mask instanceof CompositeMask composite) || composite.operator != operator) {
      return mask.visiblePairs(area);
    }
    if (Math.max(area.queries(), area.keys()) > COUNTED_SIDE) {
      return Math.addExact(
          mask.visiblePairs(area.firstHalf()), mask.visiblePairs(area.secondHalf()));
    }
    long[] words = new long[area.words()];
    mask.show(area, words);
    long pairs = 0;
    for (long word : words) {
      pairs += Long.bitCount(word);
    }
    return pairs;
  }

  @Override
  void show(Area area, long[] words) {
    AttentionMask mask = within(area);
    if (!(mask instanceof CompositeMask composite) || composite.operator != operator) {
      mask.show(area, words);
    } else if (operator == Operator.UNION) {
      composite.parts.forEach(part -> part.show(area, words));
    } else {
      long[] common = composite.parts.get(0).shown(area);
      for (AttentionMask part : composite.parts.subList(1, composite.parts.size())) {
        long[] shown = part.shown(area);
        for (int i = 0; i < common.length; i++) {
          common[i] &= shown[i];
        }
      }
      for (int i = 0; i < common.length; i++) {
        words[i] |= common[i];
      }
    }
  }

  /** The form with the fewest parentheses: an intersection binds tighter. */
  @Override
  public String toString() {
    return parts.stream()
        .map(
            part ->
                operator == Operator.INTERSECTION && part instanceof CompositeMask
                    ? "(" + part + ")"
                    : part.toString())
        .collect(Collectors.joining(operator.symbol));
  }
}

package io.sparkattention.partitioning;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Recursive descent over the grammar of {@link AttentionMask#parse(String, Function)}. */
final class MaskParser {

  /** What stands between operators and parentheses: one mask by name. */
  private enum Kind {
    FULL("full", arguments -> AttentionMask.full()),
    CAUSAL("causal", arguments -> AttentionMask.causal()),
    SLIDING_WINDOW(
        "sliding-window:LEFT[,RIGHT]",
        arguments -> AttentionMask.slidingWindow(arguments.number(), arguments.number(0))),
    DILATED_WINDOW(
        "dilated-window:LEFT,STEP[,RIGHT]",
        arguments ->
            AttentionMask.dilatedWindow(
                arguments.number(), arguments.number(), arguments.number(0))),
    PREFIX("prefix:N", arguments -> AttentionMask.prefix(arguments.number())),
    DOCUMENTS("documents:LENGTH,…", arguments -> AttentionMask.documents(arguments.numbers())),
    GLOBAL("global:N", arguments -> AttentionMask.global(arguments.number())),
    GLOBAL_POSITIONS(
        "global-positions:POSITION,…",
        arguments -> AttentionMask.globalPositions(arguments.numbers())),
    SINKS("sinks:N", arguments -> AttentionMask.sinks(arguments.number())),
    BLOCK_SPARSE("block-sparse:SIZE,QUERY-KEY,…", Kind::blockSparse),
    RANDOM_BLOCKS("random-blocks:COUNT,SEED[,SIZE[,BLOCKS]]", Kind::randomBlocks),
    BIGBIRD(
        "bigbird:WINDOW,N,COUNT,SEED[,SIZE[,BLOCKS]]",
        arguments ->
            AttentionMask.bigBird(arguments.number(), arguments.number(), randomBlocks(arguments))),
    BLOCK_TOP_K("block-top-k:COUNT[,SIZE]", Kind::blockTopK),
    STREAMING(
        "streaming:N,WINDOW",
        arguments -> AttentionMask.streaming(arguments.number(), arguments.number()));

    private final String form;
    private final Function<MaskArguments, AttentionMask> mask;

    Kind(String form, Function<MaskArguments, AttentionMask> mask) {
      this.form = form;
      this.mask = mask;
    }

    private static AttentionMask blockSparse(MaskArguments arguments) {
      long blockTokens = arguments.number();
      long[][] pairs = arguments.pairs();
      return AttentionMask.blockSparse(blockTokens, pairs[0], pairs[1]);
    }

    private static AttentionMask randomBlocks(MaskArguments arguments) {
      long count = arguments.number();
      long seed = arguments.number();
      long blockTokens = arguments.number(RandomBlockMask.DEFAULT_BLOCK_TOKENS);
      return arguments.hasNext()
          ? new RandomBlockMask(count, seed, blockTokens, arguments.positive())
          : new RandomBlockMask(count, seed, blockTokens, RandomBlockMask.OWN_AND_EARLIER);
    }

    private static AttentionMask blockTopK(MaskArguments arguments) {
      long count = Math.min(arguments.positive(), Integer.MAX_VALUE);
      return AttentionMask.blockTopK(
          new TopK((int) count, arguments.number(BlockTopKMask.DEFAULT_BLOCK_TOKENS)));
    }

    private String key() {
      return form.split(":", 2)[0];
    }
  }

  /** Far beyond what anyone writes, and far from what the stack holds. */
  private static final int MAX_DEPTH = 64;

  private static final int LONGEST_QUOTE = 160;

  private final String text;
  private final Function<String, String> lists;
  private int position;
  private int depth;

  MaskParser(String text, Function<String, String> lists) {
    this.text = text;
    this.lists = lists;
  }

  AttentionMask parse() {
    AttentionMask mask;
    try {
      mask = union();
    } catch (InvalidMaskException e) {
      throw e;
    } catch (IllegalArgumentException e) {
      throw invalid(e.getMessage());
    }
    if (position < text.length()) {
      throw unexpected("&, | or the end");
    }
    return mask;
  }

  private AttentionMask union() {
    List<AttentionMask> masks = new ArrayList<>();
    do {
      masks.add(intersection());
    } while (take('|'));
    return AttentionMask.union(masks.toArray(new AttentionMask[0]));
  }

  private AttentionMask intersection() {
    List<AttentionMask> masks = new ArrayList<>();
    do {
      masks.add(term());
    } while (take('&'));
    return AttentionMask.intersection(masks.toArray(new AttentionMask[0]));
  }

  private AttentionMask term() {
    if (!take('(')) {
      return kind();
    }
    depth++;
    if (depth > MAX_DEPTH) {
      throw invalid("parentheses in parentheses, expected at most " + MAX_DEPTH + " deep");
    }
    AttentionMask mask = union();
    if (!take(')')) {
      throw unexpected("&, | or )");
    }
    depth--;
    return mask;
  }

  private AttentionMask kind() {
    skipSpaces();
    int start = position;
    while (position < text.length() && "&|()".indexOf(text.charAt(position)) < 0) {
      position++;
    }
    String term = text.substring(start, position).strip();
    String place = term.equals(text) ? "" : "'" + quoted(term) + "' at " + (start + 1) + ": ";
    int colon = term.indexOf(':');
    String key = colon < 0 ? term : term.substring(0, colon);
    Kind kind =
        Arrays.stream(Kind.values())
            .filter(known -> known.key().equals(key))
            .findFirst()
            .orElseThrow(() -> invalid(place + "expected " + forms()));
    String[] values = colon < 0 ? new String[0] : term.substring(colon + 1).split(",", -1);
    try {
      return kind.mask.apply(new MaskArguments(kind.form, values, lists));
    } catch (IllegalArgumentException e) {
      throw invalid(place + e.getMessage());
    }
  }

  private static String forms() {
    return Arrays.stream(Kind.values()).map(kind -> kind.form).collect(Collectors.joining(", "))
        + ", masks joined by & or |";
  }

  private boolean take(char expected) {
    skipSpaces();
    boolean found = position < text.length() && text.charAt(position) == expected;
    position += found ? 1 : 0;
    return found;
  }

  private void skipSpaces() {
    while (position < text.length() && Character.isWhitespace(text.charAt(position))) {
      position++;
    }
  }

  private InvalidMaskException unexpected(String expected) {
    String found =
        position < text.length() ? "'" + text.charAt(position) + "'" : "the end of the text";
    return invalid(found + " at " + (position + 1) + ", expected " + expected);
  }

  private InvalidMaskException invalid(String reason) {
    return new InvalidMaskException(quoted(text), reason);
  }

  /** Lists may have millions of elements, a message has one line. */
  private static String quoted(String text) {
    return text.length() <= LONGEST_QUOTE ? text : text.substring(0, LONGEST_QUOTE) + "…";
  }
}

package io.sparkattention.driver.model;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * All heads of an encoder, ranked by the attention weight with which one word attends to another.
 *
 * <p>Where a word is several tokens, its weight as a target is the sum over them, as a source the
 * mean (Clark et al. 2019, "What Does BERT Look At?", section 4.1). A high weight says where a head
 * looks, not that the model resolves a reference.
 */
public final class HeadLinks {
  /** A word of the text and the positions of its tokens. */
  public record Word(String text, List<Integer> positions) {
    /** Finds a word in the text; {@code occurrence} counts from 1. */
    public static Word in(TokenizedText text, String word, int occurrence) {
      return new Word(word, text.positionsOf(word, occurrence));
    }
  }

  /**
   * One head's link; layers and heads count from 0, ranks from 1.
   *
   * @param weight from the source word to the target word, 0 to 1
   * @param rivalWeight from the source word to the rival word, 0 to 1
   * @param averageWeight from all tokens to the target word, on average: a head that looks there
   *     from everywhere tells little about the source word
   * @param strongest position of the token that the source word attends to most
   */
  public record HeadLink(
      int rank,
      int layer,
      int head,
      double weight,
      double rivalWeight,
      double averageWeight,
      int strongest) {
    HeadLink withRank(int newRank) {
      return new HeadLink(newRank, layer, head, weight, rivalWeight, averageWeight, strongest);
    }
  }

  private final Word source;
  private final Word target;
  private final Word rival;
  private final List<HeadLink> ranked;

  private HeadLinks(Word source, Word target, Word rival, List<HeadLink> ranked) {
    this.source = source;
    this.target = target;
    this.rival = rival;
    this.ranked = ranked;
  }

  /** Ranks every head of the output; equal weights stay in the order of layers and heads. */
  public static HeadLinks rank(EncoderOutput output, Word source, Word target, Word rival) {
    List<Integer> all = IntStream.range(0, output.tokens()).boxed().toList();
    List<HeadLink> unranked = new ArrayList<>();
    for (int layer = 0; layer < output.layers(); layer++) {
      for (int head = 0; head < output.numHeads(); head++) {
        double[] row = meanRow(output, layer, head, source.positions());
        double average = sum(meanRow(output, layer, head, all), target);
        unranked.add(
            new HeadLink(
                0, layer, head, sum(row, target), sum(row, rival), average, strongest(row)));
      }
    }
    unranked.sort(Comparator.comparingDouble(HeadLink::weight).reversed());
    List<HeadLink> ranked = new ArrayList<>();
    for (HeadLink link : unranked) {
      ranked.add(link.withRank(ranked.size() + 1));
    }
    return new HeadLinks(source, target, rival, List.copyOf(ranked));
  }

  /** The weights [tokens] with which some tokens attend, on average. */
  private static double[] meanRow(
      EncoderOutput output, int layer, int head, List<Integer> positions) {
    double[] row = new double[output.tokens()];
    for (int from : positions) {
      for (int to = 0; to < row.length; to++) {
        row[to] += output.probability(layer, head, from, to) / (double) positions.size();
      }
    }
    return row;
  }

  private static double sum(double[] row, Word word) {
    return word.positions().stream().mapToDouble(to -> row[to]).sum();
  }

  private static int strongest(double[] row) {
    int strongest = 0;
    for (int to = 1; to < row.length; to++) {
      strongest = row[to] > row[strongest] ? to : strongest;
    }
    return strongest;
  }

  /** The attending word. */
  public Word source() {
    return source;
  }

  /** The word attended to. */
  public Word target() {
    return target;
  }

  /** The word that could be attended to instead. */
  public Word rival() {
    return rival;
  }

  /** All heads, the strongest link first. */
  public List<HeadLink> ranked() {
    return ranked;
  }

  /** Number of heads whose source attends more to the target than to the rival. */
  public long preferring() {
    return ranked.stream().filter(link -> link.weight() > link.rivalWeight()).count();
  }
}

package io.sparkattention.driver.model;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * One head's attention from one token to another. Layers, heads and positions count from 0.
 *
 * @param weight the attention probability, 0 to 1
 */
public record TokenLink(
    int layer,
    int head,
    long fromPosition,
    String fromToken,
    long toPosition,
    String toToken,
    float weight)
    implements Serializable {

  /**
   * The strongest links of every token in every head, of equal weights the earlier position first.
   *
   * @param limit links per token and head, from 1
   * @return by layer, head, attending token and falling weight
   */
  public static List<TokenLink> strongest(TokenizedText text, EncoderOutput output, int limit) {
    List<TokenLink> links = new ArrayList<>();
    for (int layer = 0; layer < output.layers(); layer++) {
      for (int head = 0; head < output.numHeads(); head++) {
        StrongestKeys strongest = new StrongestKeys(text.size(), Math.min(limit, text.size()));
        for (int from = 0; from < text.size(); from++) {
          for (int to = 0; to < text.size(); to++) {
            strongest.offer(from, to, output.probability(layer, head, from, to));
          }
          for (int rank = 0; rank < strongest.count(from); rank++) {
            int to = strongest.key(from, rank);
            float weight = strongest.score(from, rank);
            links.add(
                new TokenLink(layer, head, from, text.token(from), to, text.token(to), weight));
          }
        }
      }
    }
    return links;
  }
}

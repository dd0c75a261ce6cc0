package io.sparkattention.driver.model;

import java.io.Serializable;

/** The input of a BERT encoder's first layer: word + position + first token type, normalized. */
final class BertEmbeddings implements Serializable {
  private static final long serialVersionUID = 1L;

  /** [vocabulary, hidden]. */
  private final float[] words;

  /** [positions, hidden]. */
  private final float[] positions;

  /** [token types, hidden]; of these the first is used: one text, no second one beside it. */
  private final float[] tokenTypes;

  private final LayerNorm norm;
  private final int hidden;

  BertEmbeddings(ModelWeights weights) {
    this.words = weights.data("embeddings.word_embeddings.weight");
    this.positions = weights.data("embeddings.position_embeddings.weight");
    this.tokenTypes = weights.data("embeddings.token_type_embeddings.weight");
    this.norm = LayerNorm.of(weights, "embeddings.LayerNorm");
    this.hidden = weights.axis("embeddings.word_embeddings.weight", 1);
  }

  /** Writes the embedding [hidden] of a token at a learnt position to {@code rows[offset …]}. */
  void embed(int tokenId, int position, float[] rows, int offset) {
    for (int i = 0; i < hidden; i++) {
      float typed = words[tokenId * hidden + i] + tokenTypes[i];
      rows[offset + i] = typed + positions[position * hidden + i];
    }
    norm.applyRow(rows, offset);
  }
}

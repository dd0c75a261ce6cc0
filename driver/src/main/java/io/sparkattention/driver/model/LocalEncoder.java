package io.sparkattention.driver.model;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.AttentionMask;
import io.sparkattention.partitioning.BlockGrid;
import java.util.function.Consumer;

/**
 * Runs a BERT encoder over one sequence in one process, with the kernel and states of the
 * exchanges.
 */
public final class LocalEncoder {
  private final BertModel model;
  private final BlockGrid grid;
  private final LocalAttention attention;

  /** For what has at most as many tokens as the model has positions. */
  public LocalEncoder(BertModel model) {
    this(model, new BlockGrid(model.config().positions()));
  }

  /** For sequences of any length, which share {@code grid} with a distributed run. */
  LocalEncoder(BertModel model, BlockGrid grid) {
    this.model = model;
    this.grid = grid;
    int heads = model.config().numHeads();
    int headDim = model.config().headDim();
    this.attention =
        new LocalAttention(new HeadLayout(heads, heads, headDim, headDim), AttentionMask.full());
  }

  /**
   * Encodes one sequence.
   *
   * @param ids special tokens included; at least one, at most as many as the model has positions
   * @return the last layer's output, [tokens, hidden]
   */
  public float[] encode(int[] ids) {
    Positions.ERROR.check(ids.length, model.config().positions());
    return encode(ids, input -> {});
  }

  /**
   * The same for any number of tokens, which take positions beyond the last again from the first
   * one; shows what each layer gets.
   *
   * @param ids special tokens included; at least one
   * @param inputs receives the input of each layer, [tokens, hidden]
   * @return the last layer's output, [tokens, hidden]
   */
  float[] encode(int[] ids, Consumer<float[]> inputs) {
    if (ids.length == 0) {
      throw new InvalidInputException("Cannot encode: found no tokens, expected at least one");
    }
    model.checkIds(ids);
    float[] states = model.embed(ids, 0);
    for (int index = 0; index < model.config().layers(); index++) {
      inputs.accept(states);
      BertLayer layer = model.layer(index);
      LocalKeyValues keyValues = new LocalKeyValues(attention, grid);
      keyValues.append(
          layer.key().apply(states, ids.length),
          layer.value().apply(states, ids.length),
          ids.length);
      float[] query = layer.query().apply(states, ids.length);
      states = layer.finish(states, keyValues.attend(query, ids.length, 0), ids.length);
    }
    return states;
  }
}

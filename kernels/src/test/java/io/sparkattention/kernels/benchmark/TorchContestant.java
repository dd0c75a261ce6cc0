package io.sparkattention.kernels.benchmark;

import ai.djl.MalformedModelException;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.training.ParameterStore;
import io.sparkattention.kernels.AttentionCase;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.Optional;

/** PyTorch's {@code scaled_dot_product_attention} on one CPU thread, through DJL. */
final class TorchContestant implements Contestant {
  static final String NAME = "PyTorch";

  private static final String ENGINE = "PyTorch";

  private final Model model;
  private final NDManager manager;
  private final ParameterStore noParameters;

  /** Each [1, heads, tokens, headDim], contiguous. */
  private final NDList inputs;

  private TorchContestant(Shape shape, AttentionCase c) throws IOException {
    model = Model.newInstance("attention", ENGINE);
    String expression =
        "torch.scaled_dot_product_attention(q, k, v, None, 0., %s, scale=None, enable_gqa=%s)"
            .formatted(
                shape.mask().equals(Mask.CAUSAL) ? "True" : "False",
                shape.isGrouped() ? "True" : "False");
    try {
      model.load(new ByteArrayInputStream(TorchScript.archive(expression)));
    } catch (MalformedModelException e) {
      throw new IOException(e);
    }
    manager = model.getNDManager().newSubManager();
    noParameters = new ParameterStore(manager, false);
    int heads = c.layout.numKeyValueHeads();
    inputs =
        new NDList(
            manager.create(
                FloatBuffer.wrap(c.query), dims(c.layout.numHeads(), c.queries, c.layout.keyDim())),
            manager.create(FloatBuffer.wrap(c.key), dims(heads, c.keys, c.layout.keyDim())),
            manager.create(FloatBuffer.wrap(c.value), dims(heads, c.keys, c.layout.valueDim())));
  }

  /**
   * Tells DJL, before its first use, to stay on one thread and away from the network, and where to
   * unpack PyTorch.
   */
  static void configure(Path cache) {
    System.setProperty("ai.djl.offline", "true");
    System.setProperty("ai.djl.pytorch.num_threads", "1");
    System.setProperty("ai.djl.pytorch.num_interop_threads", "1");
    System.setProperty("DJL_CACHE_DIR", cache.toString());
    System.setProperty("ENGINE_CACHE_DIR", cache.toString());
    // DJL logs through slf4j, which warns that nobody listens.
    System.setProperty("slf4j.internal.verbosity", "ERROR");
  }

  static String version() {
    return Engine.getEngine(ENGINE).getVersion();
  }

  static Optional<Contestant> of(Shape shape, AttentionCase c) {
    if (!shape.mask().equals(Mask.FULL) && !shape.mask().equals(Mask.CAUSAL)) {
      return Optional.empty();
    }
    try {
      return Optional.of(new TorchContestant(shape, c));
    } catch (IOException e) {
      throw new IllegalStateException("Cannot build PyTorch's module of " + shape, e);
    }
  }

  private static ai.djl.ndarray.types.Shape dims(int heads, int tokens, int headDim) {
    return new ai.djl.ndarray.types.Shape(1, heads, tokens, headDim);
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public void run() {
    model.getBlock().forward(noParameters, inputs, false).close();
  }

  @Override
  public float[] output() {
    try (NDList result = model.getBlock().forward(noParameters, inputs, false)) {
      return result.singletonOrThrow().toFloatArray();
    }
  }

  @Override
  public void close() {
    manager.close();
    model.close();
  }
}

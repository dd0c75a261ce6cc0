package io.sparkattention.kernels;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.HashMap;
import java.util.Map;

/**
 * Attention as ONNX Runtime computes it on one CPU thread: a model of one node, with its inputs in
 * the layout that the operator prefers. Create it, run it as often as wanted, close it.
 */
public final class OnnxAttention implements AutoCloseable {
  /** The domain of ONNX Runtime's own operators. */
  private static final String MICROSOFT = "com.microsoft";

  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final Map<String, OnnxTensor> inputs = new HashMap<>();
  private final AttentionCase c;

  /** Whether rows are [tokens, heads · dim]; else [heads, tokens, dim]. */
  private final boolean tokensFirst;

  private final OrtSession session;

  private OnnxAttention(AttentionCase c, boolean tokensFirst, OnnxModel model) throws OrtException {
    this.c = c;
    this.tokensFirst = tokensFirst;
    putInput("Q", c.query, c.layout.numHeads(), c.queries, c.layout.keyDim());
    putInput("K", c.key, c.layout.numKeyValueHeads(), c.keys, c.layout.keyDim());
    putInput("V", c.value, c.layout.numKeyValueHeads(), c.keys, c.layout.valueDim());
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setIntraOpNumThreads(1);
      options.setInterOpNumThreads(1);
      session = environment.createSession(model.bytes(), options);
    }
  }

  /**
   * The standard operator {@code Attention} (opset 23): any heads. Under {@code causal}, query i
   * sees the keys up to i.
   */
  public static OnnxAttention standard(AttentionCase c, boolean causal) throws OrtException {
    HeadLayout layout = c.layout;
    OnnxModel model =
        new OnnxModel("", "Attention")
            .input("Q", OnnxModel.FLOAT, 1, layout.numHeads(), c.queries, layout.keyDim())
            .input("K", OnnxModel.FLOAT, 1, layout.numKeyValueHeads(), c.keys, layout.keyDim())
            .input("V", OnnxModel.FLOAT, 1, layout.numKeyValueHeads(), c.keys, layout.valueDim())
            .output("Y", 1, layout.numHeads(), c.queries, layout.valueDim())
            .attribute("is_causal", causal ? 1L : 0L)
            .attribute("scale", (float) c.scale);
    return new OnnxAttention(c, false, model);
  }

  /** {@code MultiHeadAttention}: no mask, as many key/value heads as query heads. */
  public static OnnxAttention multiHead(AttentionCase c) throws OrtException {
    return new OnnxAttention(
        c, true, tokensFirst(c, "MultiHeadAttention").output("Y", outputDims(c)));
  }

  /**
   * {@code GroupQueryAttention}: any heads, query i sees keys i − {@code left} to i of as many keys
   * as queries.
   */
  public static OnnxAttention groupQuery(AttentionCase c, int left) throws OrtException {
    HeadLayout layout = c.layout;
    OnnxModel model =
        tokensFirst(c, "GroupQueryAttention")
            .noInput()
            .noInput()
            .input("last_key", OnnxModel.INT32, 1)
            .input("total_keys", OnnxModel.INT32, 1)
            .output("Y", outputDims(c))
            .output("present_key", 1, layout.numKeyValueHeads(), c.keys, layout.keyDim())
            .output("present_value", 1, layout.numKeyValueHeads(), c.keys, layout.valueDim())
            .attribute("kv_num_heads", layout.numKeyValueHeads());
    if (left < c.keys) {
      model.attribute("local_window_size", left + 1);
    }
    OnnxAttention attention = new OnnxAttention(c, true, model);
    attention.putInput("last_key", c.keys - 1);
    attention.putInput("total_keys", c.keys);
    return attention;
  }

  private static OnnxModel tokensFirst(AttentionCase c, String operator) {
    HeadLayout layout = c.layout;
    return new OnnxModel(MICROSOFT, operator)
        .input("Q", OnnxModel.FLOAT, 1, c.queries, (long) layout.numHeads() * layout.keyDim())
        .input("K", OnnxModel.FLOAT, 1, c.keys, (long) layout.numKeyValueHeads() * layout.keyDim())
        .input(
            "V", OnnxModel.FLOAT, 1, c.keys, (long) layout.numKeyValueHeads() * layout.valueDim())
        .attribute("num_heads", layout.numHeads())
        .attribute("scale", (float) c.scale);
  }

  private static long[] outputDims(AttentionCase c) {
    return new long[] {1, c.queries, (long) c.layout.numHeads() * c.layout.valueDim()};
  }

  /** Computes the output once and drops it. */
  public void run() {
    try {
      session.run(inputs).close();
    } catch (OrtException e) {
      throw new IllegalStateException("Cannot run ONNX Runtime", e);
    }
  }

  /** Computes the output: [numHeads, queries, valueDim]. */
  public float[] output() {
    try (OrtSession.Result result = session.run(inputs)) {
      float[] found = new float[c.layout.numHeads() * c.queries * c.layout.valueDim()];
      ((OnnxTensor) result.get(0)).getFloatBuffer().get(found);
      return tokensFirst
          ? swapped(found, c.queries, c.layout.numHeads(), c.layout.valueDim())
          : found;
    } catch (OrtException e) {
      throw new IllegalStateException("Cannot run ONNX Runtime", e);
    }
  }

  @Override
  public void close() throws OrtException {
    session.close();
    inputs.values().forEach(OnnxTensor::close);
  }

  /** Rows [heads, tokens, dim] as a tensor in the operator's layout. */
  private void putInput(String name, float[] rows, int heads, int tokens, int dim)
      throws OrtException {
    long[] dims =
        tokensFirst
            ? new long[] {1, tokens, (long) heads * dim}
            : new long[] {1, heads, tokens, dim};
    float[] data = tokensFirst ? swapped(rows, heads, tokens, dim) : rows;
    inputs.put(name, OnnxTensor.createTensor(environment, FloatBuffer.wrap(data), dims));
  }

  private void putInput(String name, int value) throws OrtException {
    inputs.put(
        name,
        OnnxTensor.createTensor(environment, IntBuffer.wrap(new int[] {value}), new long[] {1}));
  }

  /** [a, b, dim] to [b, a, dim]. */
  private static float[] swapped(float[] rows, int a, int b, int dim) {
    float[] result = new float[rows.length];
    for (int i = 0; i < a; i++) {
      for (int j = 0; j < b; j++) {
        System.arraycopy(rows, (i * b + j) * dim, result, (j * a + i) * dim, dim);
      }
    }
    return result;
  }
}

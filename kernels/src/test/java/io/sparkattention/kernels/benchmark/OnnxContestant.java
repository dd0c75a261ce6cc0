package io.sparkattention.kernels.benchmark;

import ai.onnxruntime.OrtException;
import io.sparkattention.kernels.AttentionCase;
import io.sparkattention.kernels.OnnxAttention;
import java.util.Optional;

/** ONNX Runtime on one thread, with the fastest operator that it has for the shape. */
final class OnnxContestant implements Contestant {
  static final String NAME = "ONNX Runtime";

  private final OnnxAttention attention;

  private OnnxContestant(OnnxAttention attention) {
    this.attention = attention;
  }

  static Optional<Contestant> of(Shape shape, AttentionCase c) {
    try {
      if (shape.mask().right() == 0 && shape.queries() == shape.keys()) {
        int left = shape.mask().left();
        return Optional.of(new OnnxContestant(OnnxAttention.groupQuery(c, left)));
      }
      if (shape.mask().equals(Mask.FULL)) {
        return Optional.of(
            new OnnxContestant(
                shape.isGrouped() ? OnnxAttention.standard(c, false) : OnnxAttention.multiHead(c)));
      }
      return Optional.empty();
    } catch (OrtException e) {
      throw new IllegalStateException("Cannot build ONNX Runtime's model of " + shape, e);
    }
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public void run() {
    attention.run();
  }

  @Override
  public float[] output() {
    return attention.output();
  }

  @Override
  public void close() {
    try {
      attention.close();
    } catch (OrtException e) {
      throw new IllegalStateException("Cannot close ONNX Runtime's session", e);
    }
  }
}

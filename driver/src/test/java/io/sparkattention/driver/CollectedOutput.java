package io.sparkattention.driver;

import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.exchange.ScoreBlock;
import io.sparkattention.kernels.HeadLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.spark.api.java.JavaRDD;

/** Keeps what a run computed, in float32 and without a file. */
final class CollectedOutput implements AttentionOutput {
  private final List<Attended> sequences = new ArrayList<>();

  @Override
  public void check(AttentionPlan plan) {}

  @Override
  public void write(
      AttentionPlan plan, JavaRDD<AttentionRows> rows, Optional<JavaRDD<ScoreBlock>> scores) {
    HeadLayout layout = plan.layout();
    for (SequenceShape sequence : plan.sequences()) {
      sequences.add(new Attended(layout, (int) sequence.queries()));
    }
    for (AttentionRows block : rows.collect()) {
      int sequence = block.block().sequence();
      long row = block.block().start() - plan.sequences().get(sequence).firstQuery();
      put(block, (int) row, sequences.get(sequence), layout);
    }
  }

  /** By token to by head. */
  private static void put(AttentionRows block, int row, Attended sequence, HeadLayout layout) {
    int heads = layout.numHeads();
    int queries = sequence.logSumExp().length / heads;
    int dim = layout.valueDim();
    for (int i = 0; i < block.logSumExp().length; i++) {
      int target = i % heads * queries + row + i / heads;
      sequence.logSumExp()[target] = block.logSumExp()[i];
      System.arraycopy(block.output(), i * dim, sequence.output(), target * dim, dim);
    }
  }

  /** By sequence. */
  List<Attended> sequences() {
    return sequences;
  }
}

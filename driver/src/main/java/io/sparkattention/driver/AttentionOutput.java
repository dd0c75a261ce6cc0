package io.sparkattention.driver;

import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.exchange.ScoreBlock;
import java.util.Optional;
import org.apache.spark.api.java.JavaRDD;

/** Where finished attention goes. It appears whole or not at all. */
public interface AttentionOutput {
  /**
   * Checks before the run that the output may and can be written.
   *
   * @throws InvalidInputException if it exists and may not be overwritten, or cannot hold the
   *     result
   */
  void check(AttentionPlan plan);

  /**
   * Writes all rows.
   *
   * @param scores of all pairs of blocks of one sequence, where the plan has a stage to write
   */
  void write(AttentionPlan plan, JavaRDD<AttentionRows> rows, Optional<JavaRDD<ScoreBlock>> scores);
}

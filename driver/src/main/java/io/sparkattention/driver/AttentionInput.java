package io.sparkattention.driver;

import io.sparkattention.driver.exchange.PairMask;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import java.util.List;
import java.util.Optional;
import org.apache.spark.api.java.JavaRDD;

/**
 * Where queries, keys and values come from. What is known without reading the numbers is checked
 * when the input is opened; the numbers are checked as they are packed.
 */
public interface AttentionInput {
  HeadLayout layout();

  /** The narrowest type that holds the keys and values without loss against float32. */
  ElementType keyValueType();

  /** All sequences; a block names one by its index here. */
  List<SequenceShape> sequences();

  /** A mask that is a tensor of the input, where there is one. */
  default Optional<PairMask> pairMask() {
    return Optional.empty();
  }

  /** Partition p holds the packed query blocks of {@link AttentionPlan#queryPartitions} p. */
  JavaRDD<PlacedQueries> queries(AttentionPlan plan);

  /** Partition i holds the packed key/value blocks of run i. */
  JavaRDD<PlacedKeyValues> keyValues(AttentionPlan plan);
}

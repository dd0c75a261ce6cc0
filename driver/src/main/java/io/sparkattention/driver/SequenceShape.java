package io.sparkattention.driver;

import io.sparkattention.partitioning.CausalAlignment;
import java.io.Serializable;

/**
 * One sequence of a dataset. Its keys are at positions 0 … keys − 1.
 *
 * @param id what the dataset calls it
 * @param firstQuery position of the first query; 0 unless a table says otherwise
 * @param queries number of queries, at consecutive positions
 * @param keys number of keys, 0 where all of them are padding
 * @param topLeftOffset what the top-left alignment adds to a query's position: the keys of the past
 *     that the queries follow; negative where padding leaves fewer keys than queries
 */
public record SequenceShape(String id, long firstQuery, long queries, long keys, long topLeftOffset)
    implements Serializable {

  /** Queries that are aligned with the first key. */
  public SequenceShape(String id, long firstQuery, long queries, long keys) {
    this(id, firstQuery, queries, keys, 0);
  }

  /** What an alignment adds to a query's position before it meets the mask. */
  public long offset(CausalAlignment alignment) {
    return alignment == CausalAlignment.TOP_LEFT
        ? topLeftOffset
        : alignment.offset(queries, keys) - firstQuery;
  }
}

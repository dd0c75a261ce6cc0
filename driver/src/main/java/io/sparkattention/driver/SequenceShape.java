package io.sparkattention.driver;

import java.io.Serializable;

/**
 * One sequence of a dataset. Its keys are at positions 0 … keys − 1.
 *
 * @param id what the dataset calls it
 * @param firstQuery position of the first query
 * @param queries number of queries, at consecutive positions
 * @param keys number of keys
 */
public record SequenceShape(String id, long firstQuery, long queries, long keys)
    implements Serializable {}

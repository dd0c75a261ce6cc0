package io.sparkattention.driver.exchange;

/**
 * How a rank ended, once per rank.
 *
 * @param reading what it measured
 * @param refusal what is wrong with its input, for a person; empty where nothing is
 */
record RankSummary(AttentionMeter.Reading reading, String refusal) implements RankResult {}

package io.sparkattention.driver.exchange;

/** What a rank of the barrier stage hands to the shuffle behind it. */
sealed interface RankResult permits AttentionRows, RankSummary {}
